"""The work that is measured: a script that prints three lines and writes one file, with kaos and without."""

import io
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

SCRIPT: Final = """#!/usr/bin/env python3
import pathlib, sys
print("one")
print("two")
print("three")
out = pathlib.Path(sys.argv[1]) / "model"
out.mkdir(parents=True)
(out / "model.txt").write_text("trained")
"""
_DOCKERFILE: Final = "FROM python:3\nWORKDIR /opt/program\nCOPY . /opt/program/\nRUN chmod +x train\n"


def source() -> bytes:
    """The source bundle, as a tar: the same bytes each time, so that its image is built once."""
    return _tar({"Dockerfile": _DOCKERFILE, "model/requirements.txt": "", "model/train": SCRIPT})


def data(number: int) -> bytes:
    """A data bundle that no other number has, so that nothing is skipped."""
    return _tar({"features/number.txt": f"{number}\n"})


def bare_seconds() -> float:
    """The script alone, from the start of its process to its end."""
    with tempfile.TemporaryDirectory() as folder:
        train = _train_in(Path(folder))
        started = time.perf_counter()
        _run(train, Path(folder, "out"))
        return time.perf_counter() - started


def bare_per_second(count: int, width: int) -> float:
    """How many of the script a plain pool of `width` gets done in a second."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(width) as pool:
        train = _train_in(Path(folder))
        started = time.perf_counter()
        list(pool.map(lambda number: _run(train, Path(folder, str(number))), range(count)))
        return count / (time.perf_counter() - started)


def _train_in(folder: Path) -> Path:
    train = folder / "train"
    train.write_text(SCRIPT)
    return train


def _run(train: Path, out: Path) -> None:
    subprocess.run([sys.executable, str(train), str(out)], check=True, capture_output=True)


def _tar(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
