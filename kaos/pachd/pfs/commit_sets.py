"""Commit sets: all commits of one transaction, described, squashed and dropped together."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import grpc
from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.errors import StatusError, unknown
from kaos.pachd.pfs.commits import add_empty_head, commit_info, has_provenance
from kaos.pachd.pfs.names import Row, commit_message, commit_text, made_from
from kaos.pachd.transaction import Transaction


def commits_of(connection: sqlite3.Connection, commit_set: str) -> list[Row]:
    """A set's commits, upstream ones first; NOT_FOUND."""
    rows = connection.execute("SELECT * FROM commits WHERE commit_set = ? ORDER BY id", (commit_set,)).fetchall()
    if not rows:
        raise StatusError(grpc.StatusCode.NOT_FOUND, f"no commits found for commitset {commit_set}")
    return rows


def with_inputs(connection: sqlite3.Connection, commit_set: str) -> list[Row]:
    """The commits that a set's were made from, and its own; NOT_FOUND."""
    rows = commits_of(connection, commit_set)
    return made_from(connection, commit_set) + rows


def inspect_commit_set(connection: sqlite3.Connection, request: Any) -> list[pfs_pb2.Commit]:
    """The names of the commits that a set's were made from, and of its own; NOT_FOUND."""
    return [commit_message(connection, row) for row in with_inputs(connection, request.commit_set.id)]


def list_commit_sets(connection: sqlite3.Connection, project: str = "") -> Iterator[pfs_pb2.CommitSetInfo]:
    """All commit sets, newest first."""
    sets = connection.execute(
        "SELECT commit_set, max(commits.id) AS newest FROM commits JOIN repos ON repos.id = repo"
        " WHERE ? IN ('', project) GROUP BY commit_set ORDER BY newest DESC",
        (project,),
    )
    for found in sets:
        rows = with_inputs(connection, found["commit_set"])
        yield pfs_pb2.CommitSetInfo(
            commit_set=pfs_pb2.CommitSet(id=found["commit_set"]),
            commits=[commit_info(connection, row) for row in rows],
        )


def drop_commit_set(txn: Transaction, request: Any) -> None:
    """Removes a set's commits, none of which may have children; branches go back to the parents."""
    rows = _removable(txn.connection, request.commit_set.id)
    for row in rows:
        if _children(txn.connection, row):
            text = commit_text(commit_message(txn.connection, row))
            raise unknown(f"cannot drop a commit that has children: {text}")
    for row in rows:
        _remove(txn, row)


def squash_commit_set(txn: Transaction, request: Any) -> None:
    """Removes a set's commits, each of which must have finished children, which take over its parent."""
    rows = _removable(txn.connection, request.commit_set.id)
    for row in rows:
        children = _children(txn.connection, row)
        if not children:
            text = commit_text(commit_message(txn.connection, row))
            raise unknown(
                "cannot squash a commit that has no children as that would cause data loss,"
                f" use the drop operation instead: {text}"
            )
        for child in children:
            if child["finished"] is None:
                text = commit_text(commit_message(txn.connection, child))
                raise unknown(f"cannot squash until child commit {text} is finished")
    for row in rows:
        _remove(txn, row)


def _removable(connection: sqlite3.Connection, commit_set: str) -> list[Row]:
    """A set's commits; UNKNOWN while others were made from them."""
    rows = commits_of(connection, commit_set)
    below = connection.execute(
        "SELECT DISTINCT below.commit_set FROM commits"
        " JOIN commit_provenance ON upstream = commits.id JOIN commits AS below ON below.id = commit_id"
        " WHERE commits.commit_set = ?1 AND below.commit_set <> ?1",
        (commit_set,),
    ).fetchall()
    if below:
        others = " ".join(sorted(row["commit_set"] for row in below))
        raise unknown(f"commit set {commit_set} cannot be dropped because it has subvenant commit sets: {others}")
    return rows


def _children(connection: sqlite3.Connection, row: Row) -> list[Row]:
    return connection.execute("SELECT * FROM commits WHERE parent = ?", (row["id"],)).fetchall()


def _remove(txn: Transaction, row: Row) -> None:
    txn.connection.execute("UPDATE commits SET parent = ? WHERE parent = ?", (row["parent"], row["id"]))
    heads = txn.connection.execute("SELECT * FROM branches WHERE head = ?", (row["id"],)).fetchall()
    txn.connection.execute("DELETE FROM commits WHERE id = ?", (row["id"],))
    if row["parent"] is None:
        _restart(txn, heads)
        return
    for branch in heads:
        # Not `moved`: going back makes no new commits downstream.
        txn.connection.execute("UPDATE branches SET head = ? WHERE id = ?", (row["parent"], branch["id"]))


def _restart(txn: Transaction, branches: list[Row]) -> None:
    """Gives branches whose only commit is gone a new beginning: one commit for all of them, since they share a repo."""
    plain = [branch for branch in branches if not has_provenance(txn, branch["id"])]
    # Those that are made from others get theirs with the rest of what is downstream.
    txn.moved.update(branch["id"] for branch in branches if branch not in plain)
    if plain:
        head = add_empty_head(txn, plain[0])
        txn.moved.discard(plain[0]["id"])
        for branch in plain[1:]:
            txn.connection.execute("UPDATE branches SET head = ? WHERE id = ?", (head, branch["id"]))
