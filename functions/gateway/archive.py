"""Renames the entries of a tar stream on its way, holding a few blocks of it at a time. Pure: bytes in, bytes out."""

import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Final, Protocol, cast

from functions.gateway.blocks import BLOCK_BYTES

_END: Final = bytes(2 * tarfile.BLOCKSIZE)

Rename = Callable[[str], str]


class Source(Protocol):
    """Where the bytes come from: as many a time as it likes, b"" at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        ...


class BrokenArchive(OSError):
    """The stream ended within an entry: its source failed midway."""


def renamed(source: Source, rename: Rename) -> Iterator[bytes]:
    """The tar of `source` with each entry's name passed through `rename`; an entry renamed to "" is left out.

    Only files and directories are passed on, owned by nobody. Raises BrokenArchive where the source ends early,
    so that what was sent is visibly incomplete.
    """
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", bufsize=BLOCK_BYTES) as tar:
            while (entry := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else tarfile remembers every entry
                yield from _passed_on(tar, entry, rename(entry.name.strip("/")))
    except tarfile.TarError as error:
        raise BrokenArchive(f"The archive is broken: {error}.") from error
    yield _END


def _passed_on(tar: tarfile.TarFile, entry: tarfile.TarInfo, name: str) -> Iterator[bytes]:
    if not name or not (entry.isreg() or entry.isdir()):
        return
    yield _header(entry, name)
    if not entry.isreg():
        return
    content, left = tar.extractfile(entry), entry.size
    assert content is not None
    while left:
        block = content.read(min(left, BLOCK_BYTES))
        if not block:
            raise BrokenArchive(f"The archive ends within {entry.name}.")
        left -= len(block)
        yield block
    yield bytes(-entry.size % tarfile.BLOCKSIZE)


def _header(entry: tarfile.TarInfo, name: str) -> bytes:
    header = tarfile.TarInfo(name)
    header.type = entry.type if entry.isdir() else tarfile.REGTYPE
    header.size = entry.size if entry.isreg() else 0
    header.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    header.mtime = int(entry.mtime)
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
