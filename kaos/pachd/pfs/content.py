"""Reads the content of files: of one, or of many as a tar."""

import itertools
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kaos.pachd.errors import unknown, unsupported
from kaos.pachd.pfs.files import file_not_found, in_range
from kaos.pachd.pfs.globs import glob
from kaos.pachd.pfs.names import find_commit
from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.trees import Node

# Well below what a client accepts in a message (20 MiB), and large enough that messages cost little.
CHUNK_BYTES: Final = 2 * 2**20


def read_one(connection: sqlite3.Connection, request: Any, blobs: Blobs) -> Iterator[bytes]:
    """The one file that the path (a glob) matches; UNKNOWN for a directory or several, NOT_FOUND for none.

    Of an empty file there is nothing: as Pachyderm, it sends no message at all.
    """
    _refuse_export(request)
    row = find_commit(connection, request.file.commit)
    found = [match for match, _ in zip(_matches(connection, row["root"], request), range(2), strict=False)]
    if not found:
        raise file_not_found(connection, row, request.file.path)
    if len(found) > 1:
        raise unknown(f"matched multiple files at {request.file.path}: use GetFileTAR")
    [(path, node)] = found
    if node.kind == "dir":
        raise unknown(f"{path} is a directory: use GetFileTAR")
    yield from _read(blobs.path(node.hash), request.offset)


def read_tar(connection: sqlite3.Connection, request: Any, blobs: Blobs) -> Iterator[bytes]:
    """A tar of all that the path (a glob) matches, with what is below, under absolute names; NOT_FOUND for nothing.

    The trailer always follows.
    """
    _refuse_export(request)
    row = find_commit(connection, request.file.commit)
    found = _with_content(connection, _matches(connection, row["root"], request))
    first = next(found, None)
    if first is None:
        raise file_not_found(connection, row, request.file.path)
    yield from _joined(_tar(itertools.chain([first], found), blobs))


def _matches(connection: sqlite3.Connection, root: str, request: Any) -> Iterator[tuple[str, Node]]:
    return (
        (path, node) for path, node in glob(connection, root, request.file.path) if in_range(path, request.path_range)
    )


def _with_content(connection: sqlite3.Connection, matches: Iterator[tuple[str, Node]]) -> Iterator[tuple[str, Node]]:
    """Everything that matches or is below something that does, once."""
    above = None
    for path, node in matches:
        # A directory comes before what is below it, which may match as well.
        if above is not None and path.startswith(above):
            continue
        if node.kind == "dir":
            above = f"{path.rstrip('/')}/"
        yield from trees.walk(connection, node, "" if path == "/" else path)


def _tar(found: Iterator[tuple[str, Node]], blobs: Blobs) -> Iterator[bytes]:
    for path, node in found:
        yield from _tar_entry(path, node, blobs)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _tar_entry(path: str, node: Node, blobs: Blobs) -> Iterator[bytes]:
    file = node.kind == "file"
    header = tarfile.TarInfo(path if file else f"{path.rstrip('/')}/")
    header.type = tarfile.REGTYPE if file else tarfile.DIRTYPE
    header.mode = 0o600 if file else 0o700
    header.size = node.size if file else 0
    yield header.tobuf(tarfile.PAX_FORMAT)
    if file:
        yield from _read(blobs.path(node.hash), 0)
        yield bytes(-node.size % tarfile.BLOCKSIZE)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: a message for each small file would cost more than the file."""
    collected: list[bytes] = []
    size = 0
    for piece in pieces:
        collected.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            yield b"".join(collected)
            collected, size = [], 0
    if collected:
        yield b"".join(collected)


def _read(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _refuse_export(request: Any) -> None:
    if request.URL:
        raise unsupported("writing files to a URL")
