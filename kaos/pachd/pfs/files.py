"""Describes files of commits: one, those in a directory, those below it, those that match a pattern."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.errors import StatusError, not_found, unknown
from kaos.pachd.pfs.globs import glob
from kaos.pachd.pfs.names import Row, commit_message, find_commit, repo_text
from kaos.pachd.storage import trees
from kaos.pachd.storage.trees import Node

Describe = Callable[[str, Node], pfs_pb2.FileInfo]


def inspect_file(connection: sqlite3.Connection, request: Any) -> pfs_pb2.FileInfo:
    """NOT_FOUND."""
    row = find_commit(connection, request.file.commit)
    node = _look_up(connection, row, request.file.path)
    if node is None:
        raise file_not_found(connection, row, request.file.path)
    return file_info(connection, row, clean(request.file.path), node)


def list_files(connection: sqlite3.Connection, request: Any) -> Iterator[pfs_pb2.FileInfo]:
    """What a directory holds, nothing where there is none; of a file, the file itself."""
    row = find_commit(connection, request.file.commit)
    path = clean(request.file.path)
    node = _look_up(connection, row, path)
    if node is None:
        return
    if node.kind == "file":
        found = [(path, node)]
    else:
        found = [(f"{path.rstrip('/')}/{name}", child) for name, child in trees.read(connection, node.hash).items()]
    yield from _page(found, request, describer(connection, row))


def walk_files(connection: sqlite3.Connection, request: Any) -> Iterator[pfs_pb2.FileInfo]:
    """A path and everything below it; NOT_FOUND but for the root, which is not there while there are no files."""
    row = find_commit(connection, request.file.commit)
    path = clean(request.file.path)
    node = _look_up(connection, row, path)
    if node is not None:
        found = trees.walk(connection, node, "" if path == "/" else path)
        yield from _page(found, request, describer(connection, row))
    elif path != "/":
        raise file_not_found(connection, row, request.file.path)


def glob_files(connection: sqlite3.Connection, request: Any) -> Iterator[pfs_pb2.FileInfo]:
    """What matches, possibly nothing; within a range of paths where one is given."""
    row = find_commit(connection, request.commit)
    describe = describer(connection, row)
    for path, node in glob(connection, row["root"], request.pattern):
        if in_range(path, request.path_range):
            yield describe(path, node)


def clean(path: str) -> str:
    """`a//b/` is `/a/b`."""
    return "/" + "/".join(trees.parts_of(path))


def in_range(path: str, path_range: Any) -> bool:
    """Whether a path is in a range, the upper end of which is not part of it; an empty end is none."""
    return path >= path_range.lower and (not path_range.upper or path < path_range.upper)


def file_not_found(connection: sqlite3.Connection, row: Row, path: str) -> StatusError:
    """Clients compare these words (python-pachyderm's path_exists)."""
    commit = commit_message(connection, row)
    return not_found(f"file {path}", f"in repo {repo_text(commit.repo)} at commit {commit.id}")


def file_info(connection: sqlite3.Connection, row: Row, path: str, node: Node) -> pfs_pb2.FileInfo:
    """All that clients see of a file; a directory's path ends in `/`."""
    return describer(connection, row)(path, node)


def describer(connection: sqlite3.Connection, row: Row) -> Describe:
    """Describes files of one commit: what they have in common is made once."""
    commit = commit_message(connection, row)
    common = pfs_pb2.FileInfo(file=pfs_pb2.File(commit=commit, datum="default"))
    if row["finished"] is not None:
        common.committed.FromNanoseconds(row["finished"])

    def describe(path: str, node: Node) -> pfs_pb2.FileInfo:
        info = pfs_pb2.FileInfo()
        info.CopyFrom(common)
        directory = node.kind == "dir"
        info.file.path = f"{path.rstrip('/')}/" if directory else path
        info.file_type = pfs_pb2.FileType.DIR if directory else pfs_pb2.FileType.FILE
        info.size_bytes = node.size
        info.hash = bytes.fromhex(node.hash)
        return info

    return describe


def _look_up(connection: sqlite3.Connection, row: Row, path: str) -> Node | None:
    """What is at `path`; with a trailing slash only a directory. A root without files is not there."""
    node = None if row["root"] == trees.EMPTY else trees.lookup(connection, row["root"], path)
    return None if node is not None and node.kind == "file" and path.endswith("/") else node


def _page(
    found: Iterator[tuple[str, Node]] | list[tuple[str, Node]], request: Any, describe: Describe
) -> Iterator[pfs_pb2.FileInfo]:
    """`number` of these (all where it is 0), from behind the pagination marker; UNKNOWN to reverse all."""
    if request.reverse and not request.number:
        raise unknown("number must be > 0 when reverse is true")
    marker = trees.parts_of(request.paginationMarker.path) if request.HasField("paginationMarker") else None
    count = 0
    for path, node in reversed(list(found)) if request.reverse else found:
        parts = trees.parts_of(path)
        if marker is not None and (parts >= marker if request.reverse else parts <= marker):
            continue
        yield describe(path, node)
        count += 1
        if count == request.number:
            return
