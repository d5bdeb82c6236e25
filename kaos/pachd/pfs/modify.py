"""ModifyFile: takes in a stream of changes, and applies them to a commit all at once or not at all."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from kaos.pachd.errors import unknown, unsupported
from kaos.pachd.pfs.commits import AUTO, already_finished, close_commit, open_branch, start_on
from kaos.pachd.pfs.files import file_not_found
from kaos.pachd.pfs.names import Row, commit_by_id, find_commit, find_repo, look_up_branch, repo_of, valid_path
from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs, BlobWriter
from kaos.pachd.storage.trees import Draft, Node
from kaos.pachd.transaction import Transaction

# Hashing and writing more than this takes over a millisecond, which other requests need not wait for.
_INLINE_MAX_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class Put:
    """Appends a stored file to what is at `path`."""

    path: str
    node: Node


@dataclass(frozen=True)
class Delete:
    """Removes the file at `path`, or with a trailing slash the directory."""

    path: str


@dataclass(frozen=True)
class Copy:
    """Puts what another commit has at `source` (a pfs_v2.File) at `path`."""

    path: str
    source: Any
    append: bool


Change = Put | Delete | Copy


async def receive(requests: AsyncIterator[Any], blobs: Blobs, threads: ThreadPoolExecutor) -> tuple[Any, list[Change]]:
    """Stores the content of all added files; returns the commit that is meant, and the changes in order.

    The content is durable when this returns; what is stored of a stream that breaks belongs to nobody.
    """
    commit: Any = None
    changes: list[Change] = []
    intake = _Intake(blobs, threads, changes)
    try:
        async for request in requests:
            match request.WhichOneof("body"):
                case "set_commit":
                    commit = request.set_commit
                case "add_file":
                    await intake.add(request.add_file)
                case "delete_file":
                    await intake.end_file()
                    changes.append(_deletion(request.delete_file.path))
                case "copy_file":
                    await intake.end_file()
                    copied = request.copy_file
                    changes.append(Copy(valid_path(copied.dst), copied.src, copied.append))
        await intake.end_file()
    finally:
        intake.forget()
    if commit is None:
        raise unknown("ModifyFile must begin by naming a commit")
    stored = [change.node.hash for change in changes if isinstance(change, Put)]
    await asyncio.get_running_loop().run_in_executor(threads, blobs.sync, stored)
    return commit, changes


class _Intake:
    """Joins the messages of one file, which a client sends in pieces of any size, into one blob.

    A small file is stored at once. A large one is hashed and written in a thread while its next piece arrives: one
    piece ahead, so that memory stays flat.
    """

    def __init__(self, blobs: Blobs, threads: ThreadPoolExecutor, changes: list[Change]) -> None:
        self._blobs = blobs
        self._threads = threads
        self._changes = changes
        self._path: str | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._writer: BlobWriter | None = None
        self._writing: Future[None] | None = None

    async def add(self, message: Any) -> None:
        if message.WhichOneof("source") == "url":
            raise unsupported("fetching files from a URL")
        if message.path != self._path:
            await self.end_file()
            valid_path(message.path)
            self._path = message.path
        content = message.raw.value
        self._pieces.append(content)
        self._size += len(content)
        if self._size > _INLINE_MAX_BYTES:
            await self._pass_on()

    async def end_file(self) -> None:
        if self._path is None:
            return
        if self._writer is None:
            digest, size = self._blobs.put(b"".join(self._pieces))
        else:
            await self._pass_on()
            await self._passed_on()
            digest, size = self._writer.close()
        self._changes.append(Put(valid_path(self._path), Node("file", digest, size)))
        self._path, self._pieces, self._size, self._writer = None, [], 0, None

    def forget(self) -> None:
        """Removes what was begun and will not be ended."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        if self._writing is None:
            writer.__exit__()
        else:
            # A thread may be writing still.
            self._writing.add_done_callback(lambda _: writer.__exit__())

    async def _pass_on(self) -> None:
        await self._passed_on()
        if self._writer is None:
            self._writer = self._blobs.writer()
        self._writing = self._threads.submit(self._writer.write, b"".join(self._pieces))
        self._pieces, self._size = [], 0

    async def _passed_on(self) -> None:
        if self._writing is not None:
            await asyncio.wrap_future(self._writing)
            self._writing = None


def _deletion(path: str) -> Delete:
    clean = valid_path(path)
    return Delete(f"{clean}/" if path.endswith("/") and clean != "/" else clean)


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
