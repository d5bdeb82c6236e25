"""One supervisor for each home: whoever holds the lock is it, and the kernel lets go of it when that process ends.

A POSIX record lock, since the kernel tells who holds one: no file with a process id in it can be out of date. A process
gives such a lock up when it closes any descriptor of the file: nothing else may open it.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from typing import Final

from kaos.stack.home import Home
from shared.errors import KaosError

# struct flock of 64-bit Linux: type, whence, start, length (0: all), process.
_FLOCK: Final = struct.Struct("hhqqi4x")


@contextlib.contextmanager
def held(home: Home) -> Iterator[None]:
    """Holds the lock. Raises KaosError `stack.running` where another process does."""
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise KaosError(
                "stack.running",
                f"kaos is up already, as process {_holder(descriptor)}, with its state in {home.root}: see `kaos "
                "status`, stop it with `kaos down`, or start another one with another KAOS_HOME.",
            ) from None
        yield
    finally:
        os.close(descriptor)


def holder(home: Home) -> int | None:
    """The process id of the supervisor; None where none is running. Not to be called by the supervisor itself."""
    try:
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> int | None:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)
