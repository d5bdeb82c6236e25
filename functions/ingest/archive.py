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
from shared.bundles import Entry
from shared.errors import Reject

_CHUNK_BYTES: Final = 1 << 20
_DEPTH_MAX: Final = 32
_NAME_MAX_BYTES: Final = 255  # of every file system that matters
# Pachyderm refuses these in paths (and everything that is not printable ASCII).
_FORBIDDEN: Final = frozenset("*?[]{}!()@+^")
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
    """What has been seen so far. `kinds` tells whether a path is a directory, `folded` what it may be taken for."""

    limits: Limits
    packed_bytes: int
    entries: int = 0
    written: int = 0
    kinds: dict[str, bool] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    written_files: set[str] = field(default_factory=set)


def unpack(path: Path, into: Path, limits: Limits) -> list[Entry]:
    """Writes the archive's files below `into` (empty, and ours) and returns them. Raises Reject `bundle.…`."""
    count = _Count(limits, packed_bytes=path.stat().st_size)
    found = []
    with members_of(path) as members:
        for member in members:
            count.entries += 1
            if count.entries > limits.max_entries:
                raise Reject("bundle.too-many", f"The bundle holds more than {limits.max_entries} files.")
            parts = _parts(member)
            if not parts:
                continue  # "./", the root itself
            _claim(parts, member, count)
            if not member.directory:
                found.append(_write(member, parts, into, count))
    if not found:
        raise Reject("bundle.empty", "The bundle holds no files: deploy a directory that does.")
    return found


def _parts(member: Member) -> tuple[str, ...]:
    """The parts of a member's path; Reject where it leads elsewhere or can't be a path in Pachyderm."""
    name = member.name
    if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
        raise _bad_name(name, "is not a relative path with forward slashes")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise _bad_name(name, "leads out of the bundle")
    if len(parts) > _DEPTH_MAX:
        raise _bad_name(name, f"is deeper than {_DEPTH_MAX} directories")
    for part in parts:
        if not (part.isascii() and part.isprintable()) or _FORBIDDEN & set(part):
            raise _bad_name(name, "has characters that Pachyderm refuses: use ASCII without *?[]{}!()@+^")
        if len(part) > _NAME_MAX_BYTES:
            raise _bad_name(name, f"has a name longer than {_NAME_MAX_BYTES} bytes")
    return parts


def _claim(parts: tuple[str, ...], member: Member, count: _Count) -> None:
    """Notes the path and the directories above it; Reject where it collides with another."""
    path = "/".join(parts)
    for depth in range(1, len(parts) + 1):
        prefix = "/".join(parts[:depth])
        directory = depth < len(parts) or member.directory
        # File systems that fold case, as macOS's and Windows', would lose one of the two.
        if count.folded.setdefault(prefix.casefold(), prefix) != prefix:
            raise _bad_name(path, f"differs from {count.folded[prefix.casefold()]!r} in case only")
        known = count.kinds.setdefault(prefix, directory)
        if known != directory:
            raise _bad_name(path, "is both a file and a directory")
        if not directory and prefix in count.written_files:
            raise _bad_name(path, "is there twice")
    if not member.directory:
        count.written_files.add(path)


def _write(member: Member, parts: tuple[str, ...], into: Path, count: _Count) -> Entry:
    """Writes one file, every step relative to the directory before it."""
    digest, size = hashlib.sha256(), 0
    mode = 0o755 if member.executable else 0o644
    with ExitStack() as opened:
        folder = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, folder)
        for part in parts[:-1]:
            folder = _enter(folder, part)
            opened.callback(os.close, folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        target = opened.enter_context(os.fdopen(os.open(parts[-1], flags, mode, dir_fd=folder), "wb"))
        source = opened.enter_context(member.open())
        while chunk := source.read(_CHUNK_BYTES):
            size += len(chunk)
            count.written += len(chunk)
            _check_size(count)
            digest.update(chunk)
            target.write(chunk)
    return Entry("/".join(parts), member.executable, digest.hexdigest(), size)


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


def _bad_name(name: str, why: str) -> Reject:
    return Reject("bundle.path", f"{name[:200]!r} in the bundle {why}.")
