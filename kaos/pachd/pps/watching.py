"""Tells of files of metrics, `<directory>/metrics/*.json`, that user code rewrites while it runs.

Pachyderm shows nobody an output that isn't finished. Here it lies on this machine, so the engine can look: once a
second, as little as it can, and as at the work of a stranger: links lead nowhere, and nothing in the way blocks.
"""

import asyncio
import contextlib
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_INTERVAL_SECONDS: Final = 1.0
# Metrics are a handful of numbers; what is larger is something else, or a way to fill the log.
_FILE_MAX_BYTES: Final = 16 * 1024
_TOLD_MAX_BYTES: Final = 16 * 2**20
# A training has one directory, with one such file or a few.
_ENTRIES_MOST: Final = 32

# By directory and name, what a file was when it was last read: inode, time of its last change in ns, size.
_Stamp = tuple[int, int, int]
Known = dict[tuple[str, str], _Stamp]


async def watch(out: Path, say: Callable[[str], None]) -> None:
    """Says `{"metrics": {…}}` of each file below `out` that is new or has changed, until it is cancelled."""
    known: Known = {}
    left = _TOLD_MAX_BYTES
    while left > 0:
        await asyncio.sleep(_INTERVAL_SECONDS)
        for text in await asyncio.get_running_loop().run_in_executor(None, lambda: [*changes(out, known)]):
            left -= len(text)
            say(text)


def changes(out: Path, known: Known) -> Iterator[str]:
    """What is to be said of the files below `out` as they are now; `known` is what was said before, and is kept up."""
    before = {**known}
    known.clear()  # so that it does not grow with names that come and go
    with contextlib.suppress(OSError), _directory(str(out)) as root:
        for folder in _entries(root):
            with contextlib.suppress(OSError), _directory(folder, root) as own, _directory("metrics", own) as metrics:
                for name in _entries(metrics):
                    if name.endswith(".json") and (read := _read(metrics, name, before.get((folder, name)))):
                        known[folder, name], text = read
                        if text:
                            yield text


@contextlib.contextmanager
def _directory(name: str, parent: int | None = None) -> Iterator[int]:
    with _opened(name, os.O_DIRECTORY, parent) as descriptor:
        yield descriptor


@contextlib.contextmanager
def _opened(name: str, flags: int, parent: int | None) -> Iterator[int]:
    # Not to block: opening a pipe that nobody writes to would.
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _entries(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in itertools.islice(entries, _ENTRIES_MOST)]


def _read(directory: int, name: str, before: _Stamp | None) -> tuple[_Stamp, str] | None:
    """What the file is now, and what is to be said of it, where it has changed.

    None for one that is unfit, or half written: it is read again.
    """
    with contextlib.suppress(OSError), _opened(name, 0, directory) as descriptor:
        about = os.fstat(descriptor)
        stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
        if stamp == before:
            return stamp, ""
        if stat.S_ISREG(about.st_mode) and about.st_size <= _FILE_MAX_BYTES:
            text = _told(os.read(descriptor, _FILE_MAX_BYTES))
            return (stamp, text) if text else None
    return None


def _told(content: bytes) -> str:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    return json.dumps(
        {"metrics": {name: value for name, value in found.items() if isinstance(value, int | float | str)}}
    )
