"""A tar of files that is written nowhere: any span of it is put together from the files as it is read.

So its size must be known beforehand, and hold: a file that has changed since it was looked at ends the reading.
"""

import bisect
import itertools
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from kaos.cli.content import PIECE_BYTES
from shared.bundles import Entry
from shared.errors import KaosError

_END_BYTES: Final = 2 * tarfile.BLOCKSIZE
# From here on tar needs more than one block to tell a size: eleven octal digits.
_PLAIN_SIZE_MAX: Final = 8**11
# Headers and small files are joined until they are worth a system call.
_JOINED_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class State:
    """What tells whether a file is still the one that was looked at."""

    inode: int
    size: int
    modified: int  # nanoseconds

    @classmethod
    def of(cls, file: IO[bytes]) -> "State":
        """The state of an open file."""
        found = os.fstat(file.fileno())
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the bundle, as it was when it was read: its place here, its state, and what the bundle's hash needs."""

    path: Path
    state: State
    entry: Entry


class Tar:
    """The tar of these files, in this order, as tarfile would write it. See content.Content."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        lengths = (_header_bytes(member.entry) + _padded(member.entry.size) for member in members)
        self._starts = list(itertools.accumulate(lengths, initial=0))
        self.size = _rounded(self._starts[-1] + _END_BYTES, tarfile.RECORDSIZE)

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start`. Raises KaosError `bundle.changed`."""
        waiting: list[bytes] = []
        size = 0
        for piece in self._parts(start, length):
            waiting.append(piece)
            size += len(piece)
            if size >= _JOINED_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join(waiting)

    def _parts(self, start: int, length: int) -> Iterator[bytes]:
        number = bisect.bisect_right(self._starts, start) - 1
        while length:
            if number < len(self._members):
                pieces = _member(self._members[number], start - self._starts[number], length)
            else:
                pieces = _zeros(length)
            for piece in pieces:
                start += len(piece)
                length -= len(piece)
                yield piece
            number += 1


def info(path: str, size: int, *, executable: bool) -> tarfile.TarInfo:
    """How tar describes a file of a bundle: nothing else of it matters."""
    described = tarfile.TarInfo(path)
    described.size, described.mode = size, 0o755 if executable else 0o644
    return described


def _header(entry: Entry) -> bytes:
    """What tar writes before a file: one block, or three and more where the path is long."""
    described = info(entry.path, entry.size, executable=entry.executable)
    return described.tobuf(tarfile.PAX_FORMAT, tarfile.ENCODING, "surrogateescape")


def _header_bytes(entry: Entry) -> int:
    """How long the header is. Making one takes 28 µs, and most paths are short."""
    plain = len(entry.path) <= tarfile.LENGTH_NAME and entry.path.isascii() and entry.size < _PLAIN_SIZE_MAX
    return tarfile.BLOCKSIZE if plain else len(_header(entry))


def changed(path: Path, why: str = "") -> KaosError:
    """The error of a file that is not any more what it was when it was looked at."""
    return KaosError(
        "bundle.changed",
        f"{path} has changed while it was being deployed{why}: deploy again when nothing writes to it any more.",
    )


def _member(member: Member, skipped: int, most: int) -> Iterator[bytes]:
    """Header, content and padding of a file without the first `skipped` bytes, `most` of them."""
    start = _header(member.entry)
    padding = bytes(_padded(member.entry.size) - member.entry.size)
    for length, part in ((len(start), start), (member.entry.size, None), (len(padding), padding)):
        wanted = min(length - skipped, most)
        if wanted > 0:
            yield from _content(member, skipped, wanted) if part is None else (part[skipped : skipped + wanted],)
            most -= wanted
        skipped = max(skipped - length, 0)


def _content(member: Member, start: int, length: int) -> Iterator[bytes]:
    try:
        with member.path.open("rb", buffering=0) as file:
            _check(member, file)
            file.seek(start)
            while length:
                piece = file.read(min(length, PIECE_BYTES))
                if not piece:
                    raise changed(member.path)
                length -= len(piece)
                if not length:
                    _check(member, file)  # before the last of it is given away
                yield piece
    except OSError as error:
        raise changed(member.path, f" ({error.strerror or error})") from error


def _check(member: Member, file: IO[bytes]) -> None:
    if State.of(file) != member.state:
        raise changed(member.path)


def _zeros(length: int) -> Iterator[bytes]:
    yield bytes(length)


def _padded(size: int) -> int:
    return _rounded(size, tarfile.BLOCKSIZE)


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit
