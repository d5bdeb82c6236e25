"""What differs between two commits: equal directories are passed over without being read."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.pfs.files import Describe, clean, describer
from kaos.pachd.pfs.names import Row, find_commit
from kaos.pachd.storage import trees
from kaos.pachd.storage.trees import Node

Pair = tuple[str, Node | None, Node | None]


def diff_files(connection: sqlite3.Connection, request: Any) -> Iterator[pfs_pb2.DiffFileResponse]:
    """What is in one and not, or not the same, in the other; without `old_file`, against the commit's parent."""
    new = find_commit(connection, request.new_file.commit)
    new_path = old_path = clean(request.new_file.path)
    old: Row | None
    if request.HasField("old_file") and (request.old_file.commit.id or request.old_file.commit.branch.name):
        old, old_path = find_commit(connection, request.old_file.commit), clean(request.old_file.path)
    else:
        old = connection.execute("SELECT * FROM commits WHERE id = ?", (new["parent"],)).fetchone()
    before = None if old is None else _look_up(connection, old, old_path)
    describe_new = describer(connection, new)
    describe_old: Describe | None = None if old is None else describer(connection, old)
    for below, was, becomes in _differing(connection, "", before, _look_up(connection, new, new_path)):
        if request.shallow and below.count("/") > 1:
            continue
        response = pfs_pb2.DiffFileResponse()
        if becomes is not None:
            response.new_file.CopyFrom(describe_new(clean(new_path + below), becomes))
        if was is not None and describe_old is not None:
            response.old_file.CopyFrom(describe_old(clean(old_path + below), was))
        yield response


def _differing(connection: sqlite3.Connection, below: str, was: Node | None, becomes: Node | None) -> Iterator[Pair]:
    """The paths below two nodes (and themselves, as "") that differ, a directory before its content."""
    if was == becomes:
        return
    yield below, was, becomes
    old, new = _entries(connection, was), _entries(connection, becomes)
    for name in sorted(old.keys() | new.keys()):
        yield from _differing(connection, f"{below}/{name}", old.get(name), new.get(name))


def _entries(connection: sqlite3.Connection, node: Node | None) -> dict[str, Node]:
    return trees.read(connection, node.hash) if node is not None and node.kind == "dir" else {}


def _look_up(connection: sqlite3.Connection, row: Row, path: str) -> Node | None:
    return None if row["root"] == trees.EMPTY else trees.lookup(connection, row["root"], path)
