"""Directories of containers' own, thrown away after them."""

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import structlog

# Users of the machine other than the engine's have no business there.
_MODE: Final = 0o700

log = structlog.get_logger()


def sweep(root: Path) -> None:
    """Makes the directory that scratch is kept in, and removes what an engine that was killed left there."""
    root.mkdir(mode=_MODE, parents=True, exist_ok=True)
    for left in root.iterdir():
        discard(left)


def make(root: Path, name: str, *folders: str) -> Path:
    """A new directory with these empty ones in it."""
    directory = root / name
    directory.mkdir(mode=_MODE)
    for folder in folders:
        (directory / folder).mkdir()
    return directory


def discard(directory: Path) -> None:
    """Removes a directory, whatever a program made of it: closed even to its owner, or nested a thousand deep."""
    if directory.is_symlink():
        directory.unlink()
        return
    with contextlib.suppress(RecursionError):
        shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        # These follow no links either, and don't recurse as Python does.
        for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
            subprocess.run([*command, "--", str(directory)], capture_output=True, check=False)
    if directory.exists():
        log.warning("runtime.scratch-left", directory=str(directory), help="it is tried again at the next start")
