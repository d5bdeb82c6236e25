"""Builders that race, and builders that are stopped: the store stays whole, and nothing is left running."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SLEEPS = "FROM python:3.11\nRUN echo begun; exec sleep 600\n"


def start(builder: Any, out: Path) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-m", "functions.build.builder", str(builder.bundle), str(out)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    """Bounded by the test's own timeout: the process writes the line, or ends."""
    assert process.stdout is not None
    assert line in iter(process.stdout.readline, b"")


def running(store: Path) -> list[str]:
    """Command lines of processes that name the store."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(store) in words:
            found.append(words)
    return found


def test_two_builders_of_one_bundle_make_one_image(
    builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAOS_IMAGES", str(tmp_path / "images"))
    outs = [tmp_path / "first", tmp_path / "second"]
    racing = [start(builder, out) for out in outs]
    for process in racing:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    first, second = (json.loads((out / "image.json").read_text()) for out in outs)
    assert first["ref"] == second["ref"]
    assert not list((tmp_path / "images" / "scratch").iterdir())


def test_a_build_that_is_told_to_stop_leaves_nothing(
    builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = tmp_path / "images"
    monkeypatch.setenv("KAOS_IMAGES", str(store))
    builder.dockerfile(SLEEPS)
    process = start(builder, tmp_path / "stopped")
    wait_for(process, b"begun\n")
    assert running(store)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert not list((store / "scratch").iterdir())
    assert not running(store)


def test_a_build_that_is_killed_takes_its_sandbox_along_and_the_next_one_works(
    builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = tmp_path / "images"
    monkeypatch.setenv("KAOS_IMAGES", str(store))
    builder.dockerfile(SLEEPS)
    process = start(builder, tmp_path / "killed")
    wait_for(process, b"begun\n")
    os.kill(process.pid, signal.SIGKILL)
    # The pipe ends when the last process that holds it has ended: the sandbox's too.
    process.communicate(timeout=20)
    builder.dockerfile("FROM python:3.11\nRUN echo begun\n")
    again = start(builder, tmp_path / "again")
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
