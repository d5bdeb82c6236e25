"""What is left of an image when the power goes the moment its build has ended: all of it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.images import ImageStore

BYTES = 256 << 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@contextmanager
def mounted(disk: Path, place: Path) -> Iterator[Path]:
    place.mkdir()
    done = subprocess.run(["mount", "-o", "loop", str(disk), str(place)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk in a file can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disk(builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for the store, as a file: what has reached the disk is in it."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(BYTES)
    subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
    with mounted(disk, tmp_path / "mounted") as place:
        builder.store = ImageStore(place / "images")
        monkeypatch.setenv("KAOS_IMAGES", str(builder.store.root))
        yield disk


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_an_image_is_whole_after_a_power_cut(builder: Any, disk: Path, tmp_path: Path) -> None:
    result = builder.build()
    assert result.status == 0, result
    after = tmp_path / "after"
    shutil.copyfile(disk, after)
    with mounted(after, tmp_path / "mounted-after") as place:
        store = ImageStore(place / "images")
        image = store.resolve(result.report["ref"])
        assert image == builder.image(result)
        names = [layer["id"] for layer in result.report["layers"] if layer["id"]]
        for layer in names:
            assert contents(store.layer(layer).parent) == contents(builder.store.layer(layer).parent)
        found, made = (contents(each.environment(str(image.environment))) for each in (store, builder.store))
        assert [name for name in made if found.get(name) != made[name]] == []
        for kind in ("skeletons", "interpreters"):
            assert contents(store.root / kind) == contents(builder.store.root / kind)
