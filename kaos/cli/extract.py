"""Unpacks what the gateway sends, believing none of it: what a training wrote may try to leave its directory."""

import os
import tarfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final, Protocol, cast

from shared.bundles import PROGRAM_BYTES, is_program
from shared.errors import KaosError, Unreachable

_CHUNK_BYTES: Final = 1 << 20

Advance = Callable[[int], None]


class Source(Protocol):
    """Where a tar comes from."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        ...


def extract(source: Source, into: Path, advance: Advance) -> int:
    """Writes the tar's files below `into`, an empty directory of ours; returns how many there were.

    Plain files and directories only; each step of a path is opened relative to the one before and follows no link.
    Raises KaosError `get.unsafe`, or Unreachable where the stream broke off.
    """
    count = 0
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", bufsize=_CHUNK_BYTES) as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()):
                    raise _unsafe(member.name)
                parts = _parts(member.name)
                if member.isdir():
                    into.joinpath(*parts).mkdir(parents=True, exist_ok=True)
                    continue
                content = tar.extractfile(member)
                assert content is not None
                _write(content, parts, into, advance)
                count += 1
    except (tarfile.TarError, HTTPException, ConnectionError, TimeoutError) as error:
        raise Unreachable("get.broke-off", f"The download broke off ({error}): try again.") from error
    return count


def _parts(name: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise _unsafe(name)
    return parts


def _write(content: IO[bytes], parts: tuple[str, ...], into: Path, advance: Advance) -> None:
    with ExitStack() as opened:
        folder = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, folder)
        for part in parts[:-1]:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            opened.callback(os.close, folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(parts[-1], flags, 0o644, dir_fd=folder), "wb") as file:
            start = content.read(PROGRAM_BYTES)
            if is_program(start):
                os.fchmod(file.fileno(), 0o755)
            file.write(start)
            advance(len(start))
            while block := content.read(_CHUNK_BYTES):
                file.write(block)
                advance(len(block))


def _unsafe(name: str) -> KaosError:
    return KaosError("get.unsafe", f"{name[:200]!r} would be no plain file below the target: nothing was written.")
