"""The engine's home: the directory that holds all of its state, and belongs to one engine at a time."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# What jobs read and write is nobody else's business.
_MODE: Final = 0o700


class HomeError(Exception):
    """The home can't be used: a sentence that says why."""


@dataclass(frozen=True)
class Home:
    """Where what is kept; `identity` (32 hex) was made with it."""

    root: Path
    identity: str

    @property
    def database(self) -> Path:
        """Everything but the content of files."""
        return self.root / "metadata.db"

    @property
    def files(self) -> Path:
        """The content of files."""
        return self.root / "files"

    @property
    def checkouts(self) -> Path:
        """What jobs read: links to files, so on the same file system."""
        return self.root / "checkouts"

    @property
    def scratch(self) -> Path:
        """What jobs write, until it is taken in: by moving it, so on the same file system."""
        return self.root / "scratch"

    @property
    def containers(self) -> Path:
        """What the runtimes need while a container runs."""
        return self.root / "containers"

    @property
    def logs(self) -> Path:
        """What jobs say."""
        return self.root / "logs"


@contextmanager
def open_home(root: Path) -> Iterator[Home]:
    """Makes the home where it is not there, and holds it while the context lasts. Raises HomeError.

    The lock is the kernel's: it ends with the process, however that ends.
    """
    try:
        root.mkdir(mode=_MODE, parents=True, exist_ok=True)
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeError(f"The home {root} can't be used: {error.strerror}. Set PACHD_HOME to a directory.") from error
    try:
        _lock(descriptor, root)
        yield Home(root, _identity(root / "identity"))
    finally:
        os.close(descriptor)


def _lock(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HomeError(
            f"Another engine uses the home {root}. Stop it, or set PACHD_HOME to another directory."
        ) from None


def _identity(path: Path) -> str:
    if not path.exists():
        staged = path.with_suffix(".new")
        staged.write_text(uuid.uuid4().hex)
        staged.replace(path)
    return path.read_text()
