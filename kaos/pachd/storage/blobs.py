"""Content-addressed files: each is named by its SHA-256, written once, and never changed."""

import ctypes
import hashlib
import itertools
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self

from shared.disk import is_renewed, sync, sync_file_system

_CHUNK_BYTES: Final = 1 << 20
# fsync of one small file costs 0.45 ms here, syncfs of everything 1 ms and up: above this many, one sync is cheaper.
_FSYNC_ONE_BY_ONE_MAX: Final = 16
# So much of a large file at a time is handed to the disk while the next is written: `sync` then has little to wait for,
# which was 0.5 s for 1 GiB. Less at a time gains nothing.
_HANDED_OVER_BYTES: Final = 32 << 20
_SYNC_FILE_RANGE_WRITE: Final = 2  # linux/fs.h: begin to write, and don't wait
# Inputs of jobs are hard links to blobs: nobody may write through them.
_MODE: Final = 0o444


class Blobs:
    """The files below `root`. They are durable once `sync` returned, and not before."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = root / "staging"
        self._numbers = itertools.count()
        # What was being written when an engine was killed belongs to no commit.
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(parents=True)
        # All of them now: a folder made later would have to be made durable too.
        for first in range(256):
            (root / f"{first:02x}").mkdir(exist_ok=True)
        sync(root)

    def path(self, digest: str) -> Path:
        """Where the file with this SHA-256 lies."""
        return self._root / digest[:2] / digest

    def writer(self) -> "BlobWriter":
        """A new file, to be written piece by piece."""
        return BlobWriter(self, self._staged())

    def put(self, content: bytes) -> tuple[str, int]:
        """Stores `content`; returns its SHA-256 and size in bytes."""
        digest = hashlib.sha256(content).hexdigest()
        target = self.path(digest)
        # Ten thousand small files are common: five system calls each, and nothing else.
        if not is_renewed(target):
            staged = self._staged()
            try:
                descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    file.write(content)
                os.rename(staged, target)  # noqa: PTH104
            except OSError:
                staged.unlink(missing_ok=True)
                raise
        return digest, len(content)

    def adopt(self, path: Path) -> tuple[str, int]:
        """Moves a file of this file system into the store; the caller knows that nobody has it open.

        Returns its SHA-256 and size in bytes. Raises OSError for a symbolic link, ValueError for what is no file:
        a job made it, and must not get what it could not read.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{path} is not a regular file")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._keep(path, digest)
        return digest, status.st_size

    def sync(self, digests: Iterable[str]) -> None:
        """Makes these files survive a power cut."""
        paths = [self.path(digest) for digest in digests]
        if len(paths) > _FSYNC_ONE_BY_ONE_MAX:
            sync_file_system(self._root)
            return
        for path in paths:
            sync(path)
        for folder in {path.parent for path in paths}:
            sync(folder)

    def discard(self, unwanted: Callable[[str], bool], older_than: float) -> int:
        """Removes the files (by SHA-256) that are `unwanted` and were last asked for before `older_than`.

        Time is in seconds since the epoch. Returns their bytes. A file that is asked for meanwhile is put back: it is
        moved away first, and whoever asks for it either came before, which its time tells, or does not find it.
        """
        freed = 0
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            for path in folder.iterdir():
                if path.stat().st_mtime >= older_than or not unwanted(path.name):
                    continue
                removed = path.rename(self._staged())
                status = removed.stat()
                if status.st_mtime >= older_than:
                    removed.rename(path)
                    continue
                removed.unlink()
                freed += status.st_size
        return freed

    def _staged(self) -> Path:
        return self._staging / str(next(self._numbers))

    def _keep(self, staged: Path, digest: str) -> None:
        target = self.path(digest)
        if is_renewed(target):
            staged.unlink()
            return
        staged.chmod(_MODE)
        # A job may have given it any time, and garbage is told by its age.
        os.utime(staged)
        staged.rename(target)


class BlobWriter:
    """Collects the bytes of one file, which is kept by `close` and forgotten without it."""

    def __init__(self, blobs: Blobs, path: Path) -> None:
        self._blobs = blobs
        self._path = path
        self._file = path.open("xb", buffering=_CHUNK_BYTES)
        self._digest = hashlib.sha256()
        self._size = 0
        self._handed_over = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, content: bytes) -> None:
        """Appends."""
        self.append(content)
        self.hash(content)

    def hash(self, content: bytes) -> None:
        """The half of writing that takes a core, which may go on beside the other, `append`; both must be done."""
        self._digest.update(content)

    def append(self, content: bytes) -> None:
        """The half of writing that takes a disk."""
        self._file.write(content)
        self._size += len(content)
        if self._size - self._handed_over >= _HANDED_OVER_BYTES:
            _hand_over(self._file.fileno(), self._handed_over, self._size)
            self._handed_over = self._size

    def write_file(self, path: Path) -> None:
        """Appends the content of a file."""
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self.write(chunk)

    def close(self) -> tuple[str, int]:
        """Puts the file in its place; returns its SHA-256 and size in bytes."""
        self._file.close()
        digest = self._digest.hexdigest()
        self._blobs._keep(self._path, digest)  # noqa: SLF001  # the two are one mechanism
        return digest, self._size


def _hand_over(descriptor: int, start: int, end: int) -> None:
    """Lets the disk begin with these bytes of a file. It promises nothing, so nothing is lost where it can't be had."""
    if sys.platform == "linux":
        span = (ctypes.c_int64(start), ctypes.c_int64(end - start))
        ctypes.CDLL(None).sync_file_range(descriptor, *span, _SYNC_FILE_RANGE_WRITE)
