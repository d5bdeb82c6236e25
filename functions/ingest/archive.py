"""Unpacks a bundle into a directory of ours, or refuses it. Never extractall: its guards have been passed before.

Nothing is written outside the directory: every part of a path is opened relative to the one before, following no
links, and must not be there yet. Sizes are counted as bytes are written, whatever the archive claims.
"""

import hashlib
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from functions.ingest.members import Member, members_of
from shared.bundles import PROGRAM_BYTES, Entry, is_program
from shared.errors import Reject
from shared.paths import Claims, parts_of

_CHUNK_BYTES: Final = 1 << 20
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
    written: int = 0
    claims: Claims = field(default_factory=Claims)


def unpack(path: Path, into: Path, limits: Limits) -> list[Entry]:
    """Writes the archive's files below `into` (empty, and ours) and returns them. Raises Reject `bundle.…`."""
    count = _Count(limits, packed_bytes=path.stat().st_size)
    found = []
    with members_of(path) as members:
        for member in members:
            count.entries += 1
            if count.entries > limits.max_entries:
                raise Reject("bundle.too-many", f"The bundle holds more than {limits.max_entries} files.")
            parts = _claimed(member, count)
            if parts and not member.directory:  # no parts: "./", the root itself
                found.append(_write(member, parts, into, count))
    if not found:
        raise Reject("bundle.empty", "The bundle holds no files: deploy a directory that does.")
    return found


def _claimed(member: Member, count: _Count) -> tuple[str, ...]:
    """The parts of a member's path, which nothing else in the bundle has."""
    try:
        parts = parts_of(member.name)
        count.claims.add(parts, directory=member.directory)
    except ValueError as error:
        raise Reject("bundle.path", f"{member.name[:200]!r} in the bundle {error}.") from error
    return parts


def _write(member: Member, parts: tuple[str, ...], into: Path, count: _Count) -> Entry:
    """Writes one file, every step relative to the directory before it."""
    digest, size, start = hashlib.sha256(), 0, b""
    with ExitStack() as opened:
        folder = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, folder)
        for part in parts[:-1]:
            folder = _enter(folder, part)
            opened.callback(os.close, folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        target = opened.enter_context(os.fdopen(os.open(parts[-1], flags, 0o644, dir_fd=folder), "wb"))
        source = opened.enter_context(member.open())
        while chunk := source.read(_CHUNK_BYTES):
            size += len(chunk)
            count.written += len(chunk)
            _check_size(count)
            start = start or chunk[:PROGRAM_BYTES]
            digest.update(chunk)
            target.write(chunk)
        if is_program(start):
            os.fchmod(target.fileno(), 0o755)
    return Entry("/".join(parts), is_program(start), digest.hexdigest(), size)


def _enter(folder: int, name: str) -> int:
    """Opens the directory `name` in `folder`, making it where it is not there."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)


def _check_size(count: _Count) -> None:
    if count.written > count.limits.max_bytes:
        raise Reject("bundle.too-large", f"The bundle unpacks to more than {count.limits.max_bytes} bytes.")
    if count.written > _RATIO_FREE_BYTES and count.written > _RATIO_MAX * count.packed_bytes:
        raise Reject("bundle.bomb", f"The bundle unpacks to more than {_RATIO_MAX} times its own size.")
