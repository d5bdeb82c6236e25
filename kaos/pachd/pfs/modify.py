"""Applies what ModifyFile asks for to a commit: all at once or not at all."""

from typing import Any

from kaos.pachd.errors import unknown
from kaos.pachd.pfs.changes import Change, Copy, Delete, Put
from kaos.pachd.pfs.commits import AUTO, already_finished, close_commit, open_branch, start_on
from kaos.pachd.pfs.files import file_not_found
from kaos.pachd.pfs.names import Row, commit_by_id, find_commit, find_repo, look_up_branch, repo_of, valid_path
from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.trees import Draft, Node
from kaos.pachd.transaction import Transaction


def apply(txn: Transaction, commit: Any, changes: list[Change], blobs: Blobs) -> None:
    """Changes an open commit; on a branch whose head is closed, makes a commit of just these changes.

    UNKNOWN for a closed commit that is named by its id, and where a file is in a directory's place or below a file.
    """
    row, implicit = _target(txn, commit)
    draft = Draft(txn.connection, row["root"])
    for change in changes:
        match change:
            case Put(path, node):
                _add(draft, path, node, blobs, append=True)
            case Delete(path):
                _delete(draft, path)
            case Copy():
                _copy(txn, draft, change, blobs)
    root = draft.save()
    if implicit:
        close_commit(txn, row["id"], root=root)
    else:
        txn.connection.execute("UPDATE commits SET root = ? WHERE id = ?", (root, row["id"]))


def _target(txn: Transaction, commit: Any) -> tuple[Row, bool]:
    """The open commit to change, and whether it was made for this change alone."""
    repo = find_repo(txn.connection, repo_of(commit))
    if commit.id and look_up_branch(txn.connection, repo["id"], commit.id) is None:
        row = find_commit(txn.connection, commit)
        if row["finished"] is not None:
            raise already_finished(txn.connection, row)
        return _writable(row), False
    branch = open_branch(txn, type(commit.branch)(repo=repo_of(commit), name=commit.id or commit.branch.name))
    if branch["head"]:
        head = commit_by_id(txn.connection, branch["head"])
        if head["finished"] is None:
            return _writable(head), False
    return start_on(txn, branch, branch["head"], ""), True


def _writable(row: Row) -> Row:
    if row["origin"] == AUTO:
        raise unknown("cannot modify a pipeline's output commit")
    return row


def _add(draft: Draft, path: str, node: Node, blobs: Blobs, *, append: bool) -> None:
    there = draft.get(path)
    if there is not None and there.kind == "dir":
        raise unknown(f"file / directory path collision ({path})")
    try:
        draft.put(path, node if there is None or not append else _joined(there, node, blobs))
    except NotADirectoryError as error:
        raise unknown(f"file / directory path collision ({path})") from error


def _joined(first: Node, second: Node, blobs: Blobs) -> Node:
    if second.size == 0:
        return first
    if first.size == 0:
        return second
    with blobs.writer() as writer:
        for node in (first, second):
            writer.write_file(blobs.path(node.hash))
        digest, size = writer.close()
    blobs.sync([digest])
    return Node("file", digest, size)


def _delete(draft: Draft, path: str) -> None:
    there = draft.get(path)
    if path == "/" or (there is not None and there.kind == ("dir" if path.endswith("/") else "file")):
        draft.delete(path)


def _copy(txn: Transaction, draft: Draft, change: Copy, blobs: Blobs) -> None:
    row = find_commit(txn.connection, change.source.commit)
    node = trees.lookup(txn.connection, row["root"], change.source.path)
    if node is None or row["root"] == trees.EMPTY:
        raise file_not_found(txn.connection, row, change.source.path)
    for below, found in [("", node)] if node.kind == "file" else trees.files(txn.connection, node.hash):
        _add(draft, valid_path(change.path + below), found, blobs, append=change.append)
