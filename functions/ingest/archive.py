"""Reads the files of a bundle's archive, or refuses it. Never extractall: its guards have been passed before.

Nothing is written anywhere. Sizes are counted as bytes come, whatever the archive claims.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from functions.ingest.members import Member, members_of
from functions.ingest.packed import Packed
from shared.bundles import PROGRAM_BYTES, Entry, is_program
from shared.errors import Reject
from shared.paths import Claims, parts_of

# DEFLATE can't exceed 1,032:1. Real bundles of text reach 20:1; small ones may be all zeros.
_RATIO_MAX: Final = 200
_RATIO_FREE_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class Limits:
    """What a bundle may hold: bytes as unpacked, and files and directories."""

    max_bytes: int
    max_entries: int


@dataclass
class _Count:
    """What has been seen so far."""

    limits: Limits
    packed_bytes: int
    entries: int = 0
    unpacked: int = 0
    claims: Claims = field(default_factory=Claims)


def files_of(packed: Packed, limits: Limits, seen: list[Entry]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Path and content of each file. Each content must be read to its end, which adds the file to `seen`.

    Raises Reject `bundle.…`, here and while contents are read, and what reading `packed` raises.
    """
    count = _Count(limits, packed.size)
    with packed.open() as file, members_of(file) as members:
        for member in members:
            count.entries += 1
            if count.entries > limits.max_entries:
                raise Reject("bundle.too-many", f"The bundle holds more than {limits.max_entries} files.")
            parts = _claimed(member, count)
            if parts and not member.directory:  # no parts: "./", the root itself
                path = "/".join(parts)
                yield path, _content(path, member, count, seen)
    if not seen:
        raise Reject("bundle.empty", "The bundle holds no files: deploy a directory that does.")


def _claimed(member: Member, count: _Count) -> tuple[str, ...]:
    """The parts of a member's path, which nothing else in the bundle has."""
    try:
        parts = parts_of(member.name)
        count.claims.add(parts, directory=member.directory)
    except ValueError as error:
        raise Reject("bundle.path", f"{member.name[:200]!r} in the bundle {error}.") from error
    return parts


def _content(path: str, member: Member, count: _Count, seen: list[Entry]) -> Iterator[bytes]:
    digest, size, start = hashlib.sha256(), 0, b""
    with closing(member.pieces()) as pieces:
        for piece in pieces:
            size += len(piece)
            count.unpacked += len(piece)
            _check_size(count)
            start = start or piece[:PROGRAM_BYTES]
            digest.update(piece)
            yield piece
    seen.append(Entry(path, is_program(start), digest.hexdigest(), size))


def _check_size(count: _Count) -> None:
    if count.unpacked > count.limits.max_bytes:
        raise Reject("bundle.too-large", f"The bundle unpacks to more than {count.limits.max_bytes} bytes.")
    if count.unpacked > _RATIO_FREE_BYTES and count.unpacked > _RATIO_MAX * count.packed_bytes:
        raise Reject("bundle.bomb", f"The bundle unpacks to more than {_RATIO_MAX} times its own size.")
