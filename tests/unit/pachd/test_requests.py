"""What requests go through: errors become statuses, a broken upload ends before it changes anything, bells ring."""

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import wrappers_pb2
from python_pachyderm.proto.v2.pfs import pfs_pb2

from kaos.pachd.bell import Bell
from kaos.pachd.database import Database
from kaos.pachd.errors import unknown
from kaos.pachd.interceptor import Interceptor
from kaos.pachd.pfs import service as pfs
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.wire import WireTransactions


class Context:
    """A request's, as far as handlers use it; `breaks` is told when something is sent."""

    def __init__(self, *, breaks: bool = False) -> None:
        self._breaks = breaks
        self.status: tuple[Any, str] | None = None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def send_initial_metadata(self, _metadata: object) -> None:
        if self._breaks:
            raise asyncio.CancelledError

    async def abort(self, code: Any, message: str) -> None:
        self.status = (code, message)


async def statuses_of(error: Exception) -> tuple[Any, str]:
    async def fail(_request: Any, _context: Any) -> Any:
        raise error

    async def handlers(_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(fail)

    details = SimpleNamespace(method="/x.Y/Z", invocation_metadata=())
    handler = await Interceptor("").intercept_service(handlers, details)
    context = Context()
    await handler.unary_unary(None, context)
    assert context.status is not None
    return context.status


def full_disk() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (unknown("as it is"), grpc.StatusCode.UNKNOWN, "as it is"),
        (NotImplementedError(), grpc.StatusCode.UNIMPLEMENTED, "the embedded engine does not support /x.Y/Z"),
        (OSError(errno.ENOSPC, "No space"), grpc.StatusCode.RESOURCE_EXHAUSTED, "disk is full"),
        (full_disk(), grpc.StatusCode.RESOURCE_EXHAUSTED, "disk is full"),
        (KeyError("a secret"), grpc.StatusCode.INTERNAL, "the embedded engine failed in /x.Y/Z: KeyError"),
    ],
)
async def test_errors_become_statuses(error: Exception, code: Any, words: str) -> None:
    found = await statuses_of(error)
    assert found[0] is code
    assert words in found[1]
    assert "secret" not in found[1]


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_broken_upload_is_cancelled_before_it_changes_anything(tmp_path: Path, breaks: bool) -> None:
    database = Database(tmp_path / "db", lambda _txn: None)
    threads = ThreadPoolExecutor(1)
    service = pfs.PfsService(database, Blobs(tmp_path / "files"), WireTransactions(database, pfs.ACTIONS), threads)
    repo = pfs_pb2.Repo(name="r", type="user")
    context = Context(breaks=breaks)
    await service.CreateRepo(pfs_pb2.CreateRepoRequest(repo=repo), context)
    commit = await service.StartCommit(pfs_pb2.StartCommitRequest(branch=pfs_pb2.Branch(repo=repo, name="b")), context)

    async def messages() -> AsyncIterator[pfs_pb2.ModifyFileRequest]:
        yield pfs_pb2.ModifyFileRequest(set_commit=commit)
        yield pfs_pb2.ModifyFileRequest(add_file=pfs_pb2.AddFile(path="/a", raw=wrappers_pb2.BytesValue(value=b"half")))

    try:
        if breaks:
            with pytest.raises(asyncio.CancelledError):
                await service.ModifyFile(messages(), context)
        else:
            await service.ModifyFile(messages(), context)
        request = pfs_pb2.WalkFileRequest(file=pfs_pb2.File(commit=commit, path="/"))
        found = [info.file.path async for info in service.WalkFile(request, context)]
        assert found == ([] if breaks else ["/", "/a"])
    finally:
        threads.shutdown()
        database.close()


async def test_the_bell_wakes_whom_it_concerns() -> None:
    bell = Bell()
    version = bell.version()
    with bell.listen(("repo", 1), ("repo", 2)) as mine, bell.listen(("repo", 3)) as other:
        bell.ring({("repo", 2)})
        assert (mine.is_set(), other.is_set()) == (True, False)
        assert await bell.changed(version) == bell.version()
        mine.clear()
        bell.ring({("repo", 1), ("repo", 3)})
        assert (mine.is_set(), other.is_set()) == (True, True)
    bell.ring({("repo", 1), ("repo", 2), ("repo", 3)})


async def test_a_writer_that_is_cancelled_rings_all_the_same(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", lambda _txn: None)
    try:
        version = database.version()
        writing = asyncio.ensure_future(
            database.write(lambda txn: txn.connection.execute("INSERT INTO projects VALUES ('p', '', 0)"))
        )
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait_for(database.changed(version), 10)
        names = await database.read(
            lambda connection: [row["name"] for row in connection.execute("SELECT * FROM projects")]
        )
        assert set(names) <= {"default", "p"}
    finally:
        database.close()


async def test_what_fails_is_undone(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", lambda _txn: None)

    def fail(txn: Any) -> None:
        txn.connection.execute("INSERT INTO projects VALUES ('p', '', 0)")
        raise RuntimeError

    try:
        with pytest.raises(RuntimeError):
            await database.write(fail)
        names = await database.read(
            lambda connection: [row["name"] for row in connection.execute("SELECT * FROM projects")]
        )
        assert names == ["default"]
    finally:
        database.close()
