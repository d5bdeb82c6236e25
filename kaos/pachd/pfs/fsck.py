"""Looks whether all that commits hold is in the store."""

import sqlite3
from collections.abc import Iterator

from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs


def check(connection: sqlite3.Connection, blobs: Blobs) -> Iterator[pfs_pb2.FsckResponse]:
    """A sentence for each file that is missing or has another size than it had."""
    seen: set[str] = set()
    roots = connection.execute("SELECT DISTINCT root FROM commits ORDER BY id").fetchall()
    for row in roots:
        for path, node in trees.files(connection, row["root"]):
            if node.hash in seen:
                continue
            seen.add(node.hash)
            try:
                found = blobs.path(node.hash).stat().st_size
            except FileNotFoundError:
                yield pfs_pb2.FsckResponse(error=f"file {path} is not in the store: {node.hash}")
                continue
            if found != node.size:
                yield pfs_pb2.FsckResponse(error=f"file {path} has {found} bytes and not {node.size}: {node.hash}")
