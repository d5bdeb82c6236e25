"""Commits: started, finished, dropped, described."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.errors import StatusError, unknown
from kaos.pachd.pfs.names import (
    Row,
    commit_by_id,
    commit_message,
    commit_text,
    find_commit,
    find_repo,
    look_up_branch,
    repo_text,
    valid_name,
)
from kaos.pachd.storage import trees
from kaos.pachd.transaction import Transaction

USER, AUTO = pfs_pb2.OriginKind.USER, pfs_pb2.OriginKind.AUTO


def start_commit(txn: Transaction, request: Any) -> pfs_pb2.Commit:
    """Opens a commit on a branch, whose head it becomes at once; it begins with its parent's files."""
    branch = open_branch(txn, request.branch)
    parent = branch["head"]
    if request.HasField("parent") and (request.parent.id or request.parent.branch.name):
        named = find_commit(txn.connection, request.parent)
        if named["repo"] != branch["repo"]:
            raise unknown(f"parent commit {commit_text(request.parent)} is of another repo")
        parent = named["id"]
    row = start_on(txn, branch, parent, request.description)
    return commit_message(txn.connection, row)


def open_branch(txn: Transaction, branch: Any) -> Row:
    """The branch a user may commit to, made where it is not there; UNKNOWN for output branches."""
    repo = find_repo(txn.connection, branch.repo)
    valid_name("branch", branch.name)
    row = look_up_branch(txn.connection, repo["id"], branch.name)
    if row is None:
        return add_branch(txn, repo["id"], branch.name, None)
    if has_provenance(txn, row["id"]):
        raise unknown(f"cannot start a commit on an output branch: {repo_text(branch.repo)}@{branch.name}")
    return row


def has_provenance(txn: Transaction, branch: int) -> bool:
    """Whether a branch is made from others: the output of a pipeline, mostly."""
    found = txn.connection.execute("SELECT 1 FROM branch_provenance WHERE branch = ?", (branch,)).fetchone()
    return found is not None


def add_branch(txn: Transaction, repo: int, name: str, head: int | None) -> Row:
    """Makes a branch that is known not to be there."""
    txn.connection.execute(
        "INSERT INTO branches (repo, name, head, created) VALUES (?, ?, ?, ?)", (repo, name, head, txn.now)
    )
    row = look_up_branch(txn.connection, repo, name)
    if row is None:
        raise LookupError(name)
    return row


def start_on(txn: Transaction, branch: Row, parent: int | None, description: str) -> Row:
    """Opens a user's commit on a branch; UNKNOWN while its parent is open."""
    above = commit_by_id(txn.connection, parent) if parent is not None else None
    if above is not None and above["finished"] is None:
        text = commit_text(commit_message(txn.connection, above))
        raise unknown(f"parent commit {text} has not been finished")
    # The files of a commit that failed are not passed on.
    while above is not None and above["error"]:
        above = commit_by_id(txn.connection, above["parent"]) if above["parent"] else None
    root = above["root"] if above is not None else trees.EMPTY
    rowid = add_commit(txn, branch, parent=parent, origin=USER, root=root, description=description)
    return commit_by_id(txn.connection, rowid)


def add_commit(
    txn: Transaction,
    branch: Row,
    *,
    parent: int | None,
    origin: int,
    root: str,
    description: str = "",
    provenance: Iterable[int] = (),
) -> int:
    """Makes an open commit and moves the branch to it; returns its rowid."""
    there = txn.connection.execute(
        "SELECT 1 FROM commits WHERE repo = ? AND commit_set = ?", (branch["repo"], txn.id)
    ).fetchone()
    if there:
        raise unknown(
            f"inconsistent dependencies: cannot create a commit on branch {branch['name']};"
            " its repo already has a commit in this transaction"
        )
    cursor = txn.connection.execute(
        "INSERT INTO commits (commit_set, repo, branch, parent, origin, description, started, root)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (txn.id, branch["repo"], branch["name"], parent, origin, description, txn.now, root),
    )
    rowid = int(cursor.lastrowid or 0)
    txn.connection.executemany(
        "INSERT INTO commit_provenance VALUES (?, ?)", [(rowid, upstream) for upstream in set(provenance)]
    )
    move_head(txn, branch["id"], rowid)
    return rowid


def add_empty_head(txn: Transaction, branch: Row) -> int:
    """Gives a branch that has none a head: a finished commit without files that nobody wrote. Returns its rowid."""
    rowid = add_commit(txn, branch, parent=None, origin=AUTO, root=trees.EMPTY)
    close_commit(txn, rowid)
    return rowid


def move_head(txn: Transaction, branch: int, head: int | None) -> None:
    """Points a branch at a commit; what is downstream follows when the transaction ends."""
    txn.connection.execute("UPDATE branches SET head = ? WHERE id = ?", (head, branch))
    txn.moved.add(branch)


def finish_commit(txn: Transaction, request: Any) -> None:
    """UNKNOWN where it is finished already."""
    row = find_commit(txn.connection, request.commit)
    if row["finished"] is not None:
        raise already_finished(txn.connection, row)
    if row["origin"] == AUTO and not request.force:
        raise unknown("cannot finish a pipeline output or meta commit, use 'stop job' instead")
    if request.description:
        txn.connection.execute("UPDATE commits SET description = ? WHERE id = ?", (request.description, row["id"]))
    close_commit(txn, row["id"], error=request.error)


def close_commit(txn: Transaction, rowid: int, *, root: str | None = None, error: str = "") -> None:
    """Finishes an open commit, with these files where they are given."""
    txn.connection.execute(
        "UPDATE commits SET finishing = ?, finished = ?, error = ?, root = coalesce(?, root) WHERE id = ?",
        (txn.now, txn.now, error, root, rowid),
    )


def already_finished(connection: sqlite3.Connection, row: Row) -> StatusError:
    """What is finished can't be finished again, nor changed."""
    return unknown(f"commit {commit_text(commit_message(connection, row))} has already finished")


def commit_info(connection: sqlite3.Connection, row: Row) -> pfs_pb2.CommitInfo:
    """All that clients see of a commit."""
    info = pfs_pb2.CommitInfo(
        commit=commit_message(connection, row),
        origin=pfs_pb2.CommitOrigin(kind=row["origin"]),
        description=row["description"],
        error=row["error"],
    )
    if row["parent"]:
        info.parent_commit.CopyFrom(commit_message(connection, commit_by_id(connection, row["parent"])))
    for child in connection.execute("SELECT * FROM commits WHERE parent = ? ORDER BY id", (row["id"],)).fetchall():
        info.child_commits.append(commit_message(connection, child))
    for upstream in provenance_of(connection, row["id"]):
        info.direct_provenance.append(commit_message(connection, upstream))
    info.started.FromNanoseconds(row["started"])
    if row["finished"] is not None:
        info.finishing.FromNanoseconds(row["finishing"])
        info.finished.FromNanoseconds(row["finished"])
        info.size_bytes_upper_bound = info.details.size_bytes = trees.root_node(connection, row["root"]).size
    return info


def provenance_of(connection: sqlite3.Connection, rowid: int) -> list[Row]:
    """The commits that a commit was made from."""
    return connection.execute(
        "SELECT commits.* FROM commit_provenance JOIN commits ON commits.id = upstream WHERE commit_id = ?"
        " ORDER BY commits.id",
        (rowid,),
    ).fetchall()


def has_state(connection: sqlite3.Connection, row: Row, state: int) -> bool:
    """Whether a commit is as far as `state` (pfs_v2.CommitState; READY: all it is made from is finished)."""
    if state == pfs_pb2.CommitState.READY:
        return all(upstream["finished"] is not None for upstream in provenance_of(connection, row["id"]))
    if state in {pfs_pb2.CommitState.FINISHING, pfs_pb2.CommitState.FINISHED}:
        return row["finished"] is not None
    return True


def list_commits(connection: sqlite3.Connection, request: Any) -> Iterator[pfs_pb2.CommitInfo]:
    """A repo's commits, newest first; or the line of ancestors from `to` back to (without) `from`.

    Of the origin that is asked for (all where none is); `started_time` leaves out what began since, or with `reverse`
    what began before.
    """
    after_time = request.started_time.ToNanoseconds() if request.HasField("started_time") else None
    count = 0
    for row in _line(connection, request) if request.HasField("to") else _of_repo(connection, request):
        if not _of_origin(row, request):
            continue
        if after_time is not None and (row["started"] > after_time) != request.reverse:
            continue
        yield commit_info(connection, row)
        count += 1
        if request.number and count == request.number:
            return


def matching_after(connection: sqlite3.Connection, request: Any, repo: int, after: int, skipped: int) -> Iterator[Row]:
    """The commits that a subscription asks for whose rowid is larger than `after`, oldest first, without `skipped`."""
    return (
        row
        for row in connection.execute("SELECT * FROM commits WHERE repo = ? AND id > ? ORDER BY id", (repo, after))
        if row["id"] != skipped and _of_origin(row, request) and (not request.branch or row["branch"] == request.branch)
    )


def _of_origin(row: Row, request: Any) -> bool:
    return request.all or request.origin_kind in {0, row["origin"]}


def _of_repo(connection: sqlite3.Connection, request: Any) -> Iterator[Row]:
    if request.HasField("from"):
        raise unknown("cannot use `from` commit without `to` commit")
    repo = find_repo(connection, request.repo)
    return connection.execute(
        f"SELECT * FROM commits WHERE repo = ? ORDER BY id {'ASC' if request.reverse else 'DESC'}",  # noqa: S608  # ours
        (repo["id"],),
    )


def _line(connection: sqlite3.Connection, request: Any) -> Iterator[Row]:
    if request.reverse:
        raise unknown("cannot use 'Reverse' while also using 'From' or 'To'")
    until = find_commit(connection, getattr(request, "from"))["id"] if request.HasField("from") else None
    row: Row | None = find_commit(connection, request.to)
    while row is not None and row["id"] != until:
        yield row
        row = commit_by_id(connection, row["parent"]) if row["parent"] else None
