"""Branches: moved, described, deleted."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.errors import unknown, unsupported
from kaos.pachd.pfs.commits import (
    AUTO,
    add_branch,
    add_commit,
    add_empty_head,
    close_commit,
    has_provenance,
    move_head,
)
from kaos.pachd.pfs.names import (
    Row,
    commit_by_id,
    commit_message,
    commit_text,
    find_branch,
    find_commit,
    find_repo,
    look_up_branch,
    repo_message,
    repo_text,
    valid_name,
)
from kaos.pachd.transaction import Transaction


def create_branch(txn: Transaction, request: Any) -> None:
    """Makes or moves a branch, and replaces its provenance; a new one without a head gets an empty one.

    `new_commit_set` puts a new commit of the same content under the head, of origin AUTO: nobody wrote it. UNKNOWN
    where a cycle would come to be, or two branches of a repo in one graph.
    """
    if request.HasField("trigger") and request.trigger.branch:
        raise unsupported("branch triggers")
    repo = find_repo(txn.connection, request.branch.repo)
    valid_name("branch", request.branch.name)
    head = None
    if request.HasField("head") and (request.head.id or request.head.branch.name):
        head = find_commit(txn.connection, request.head)
        if head["repo"] != repo["id"]:
            raise unknown(f"branch {request.branch.name} and its head must be in one repo")
    upstream = [_upstream(txn, branch) for branch in request.provenance]
    branch = look_up_branch(txn.connection, repo["id"], request.branch.name)
    if branch is None:
        branch = add_branch(txn, repo["id"], request.branch.name, None)
    if upstream or has_provenance(txn, branch["id"]):
        set_provenance(txn, branch["id"], upstream)
    if head is not None and request.new_commit_set:
        _copy_head(txn, branch, head)
    elif head is not None and head["id"] != branch["head"]:
        move_head(txn, branch["id"], head["id"])
    elif head is None and branch["head"] is None and not upstream:
        add_empty_head(txn, branch)


def set_provenance(txn: Transaction, branch: int, upstream: list[int]) -> None:
    """Replaces the direct provenance of a branch; UNKNOWN for cycles, and two branches of a repo in one graph."""
    txn.connection.execute("DELETE FROM branch_provenance WHERE branch = ?", (branch,))
    for other in upstream:
        if branch == other or branch in transitive(txn.connection, other, "branch", "upstream"):
            raise unknown("a branch cannot be in its own provenance")
        txn.connection.execute("INSERT OR IGNORE INTO branch_provenance VALUES (?, ?)", (branch, other))
    _refuse_two_of_a_repo(txn, branch)
    txn.moved.add(branch)


def _refuse_two_of_a_repo(txn: Transaction, branch: int) -> None:
    twice = txn.connection.execute(
        """WITH RECURSIVE graph (id) AS (
               VALUES (?)
               UNION SELECT upstream FROM branch_provenance JOIN graph ON branch = id
               UNION SELECT branch FROM branch_provenance JOIN graph ON upstream = id)
           SELECT repo FROM branches WHERE id IN graph GROUP BY repo HAVING count(*) > 1""",
        (branch,),
    ).fetchone()
    if twice is not None:
        repo = repo_text(repo_message(txn.connection, twice["repo"]))
        raise unknown(f'multiple branches from the same repo, "{repo}", cannot participate in a DAG')


def transitive(connection: sqlite3.Connection, branch: int, start: str, end: str) -> list[int]:
    """All branches upstream (start='branch', end='upstream') or downstream (the reverse) of one."""
    rows = connection.execute(
        f"""WITH RECURSIVE reached (id) AS (
                SELECT {end} FROM branch_provenance WHERE {start} = ?
                UNION SELECT {end} FROM branch_provenance JOIN reached ON {start} = reached.id)
            SELECT id FROM reached""",  # noqa: S608  # two of our own column names
        (branch,),
    )
    return [row["id"] for row in rows.fetchall()]


def inspect_branch(connection: sqlite3.Connection, request: Any) -> pfs_pb2.BranchInfo:
    """NOT_FOUND."""
    return _branch_info(connection, find_branch(connection, request.branch))


def list_branches(connection: sqlite3.Connection, request: Any) -> Iterator[pfs_pb2.BranchInfo]:
    """A repo's branches, newest first."""
    repo = find_repo(connection, request.repo)
    rows = connection.execute("SELECT * FROM branches WHERE repo = ? ORDER BY id DESC", (repo["id"],)).fetchall()
    for row in reversed(rows) if request.reverse else rows:
        yield _branch_info(connection, row)


def delete_branch(txn: Transaction, request: Any) -> None:
    """NOT_FOUND; UNKNOWN while others have provenance on it, unless `force`. Its commits stay."""
    branch = find_branch(txn.connection, request.branch)
    used = txn.connection.execute("SELECT 1 FROM branch_provenance WHERE upstream = ?", (branch["id"],)).fetchone()
    if used and not request.force:
        raise unknown(f"cannot delete branch {branch['name']}: another branch has provenance on it")
    txn.connection.execute("DELETE FROM branches WHERE id = ?", (branch["id"],))
    txn.moved.discard(branch["id"])


def _upstream(txn: Transaction, branch: Any) -> int:
    """The branch that provenance names, made empty where its repo is there and it is not."""
    repo = find_repo(txn.connection, branch.repo)
    valid_name("branch", branch.name)
    row = look_up_branch(txn.connection, repo["id"], branch.name)
    if row is None:
        row = add_branch(txn, repo["id"], branch.name, None)
        add_empty_head(txn, row)
    return int(row["id"])


def _copy_head(txn: Transaction, branch: Row, head: Row) -> None:
    if head["finished"] is None:
        text = commit_text(commit_message(txn.connection, head))
        raise unknown(f"commit {text} has not been finished: it cannot be copied")
    copy = add_commit(txn, branch, parent=head["id"], origin=AUTO, root=head["root"], description=head["description"])
    close_commit(txn, copy, error=head["error"])


def _branch_info(connection: sqlite3.Connection, row: Row) -> pfs_pb2.BranchInfo:
    info = pfs_pb2.BranchInfo(branch=_branch_message(connection, row["id"]))
    if row["head"]:
        info.head.CopyFrom(commit_message(connection, commit_by_id(connection, row["head"])))
    direct = connection.execute("SELECT upstream FROM branch_provenance WHERE branch = ?", (row["id"],)).fetchall()
    for field, ids in (
        (info.direct_provenance, [other["upstream"] for other in direct]),
        (info.provenance, transitive(connection, row["id"], "branch", "upstream")),
        (info.subvenance, transitive(connection, row["id"], "upstream", "branch")),
    ):
        field.extend(_branch_message(connection, other) for other in ids)
    return info


def _branch_message(connection: sqlite3.Connection, rowid: int) -> pfs_pb2.Branch:
    row = connection.execute("SELECT repo, name FROM branches WHERE id = ?", (rowid,)).fetchone()
    return pfs_pb2.Branch(repo=repo_message(connection, row["repo"]), name=row["name"])
