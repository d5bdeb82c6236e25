"""pfs_v2.API: what each request does is in the modules beside this one; here it meets the wire."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from google.protobuf import empty_pb2, wrappers_pb2
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc

from kaos.pachd.database import BATCH, Database
from kaos.pachd.errors import not_found
from kaos.pachd.pfs import branches, commit_sets, commits, content, diff, files, fsck, intake, modify, repos
from kaos.pachd.pfs.names import find_commit, find_repo, repo_text
from kaos.pachd.requests import Requests
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.wire import Actions, WireTransactions

T = TypeVar("T")

ACTIONS: Final[Actions] = {
    "create_repo": repos.create_repo,
    "delete_repo": repos.delete_repo,
    "start_commit": commits.start_commit,
    "finish_commit": commits.finish_commit,
    "squash_commit_set": commit_sets.squash_commit_set,
    "create_branch": branches.create_branch,
    "delete_branch": branches.delete_branch,
}


class PfsService(pfs_pb2_grpc.APIServicer):  # type: ignore[misc]  # generated, untyped
    """Versioned files. What is not here answers UNIMPLEMENTED, as the generated parent does."""

    def __init__(self, database: Database, blobs: Blobs, wire: WireTransactions, threads: ThreadPoolExecutor) -> None:
        self._database = database
        self._blobs = blobs
        self._wire = wire
        self._requests = Requests(database, wire)
        # What is received is hashed and written in these.
        self._threads = threads

    # Projects and repos.

    async def CreateProject(self, request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's names, all below
        """See repos.create_project."""
        return await self._requests.write(repos.create_project, request)

    async def InspectProject(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See repos.inspect_project."""
        return await self._requests.read(repos.inspect_project, request)

    async def ListProject(self, _request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See repos.list_projects."""
        for info in await self._database.read(repos.list_projects):
            yield info

    async def DeleteProject(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See repos.delete_project."""
        return await self._requests.write(repos.delete_project, request)

    async def CreateRepo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See repos.create_repo."""
        return await self._requests.perform("create_repo", request, context)

    async def InspectRepo(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See repos.inspect_repo."""
        return await self._requests.read(repos.inspect_repo, request)

    async def ListRepo(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See repos.list_repos."""
        async for info in self._requests.stream(repos.list_repos, request):
            yield info

    async def DeleteRepo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See repos.delete_repo."""
        return await self._requests.perform("delete_repo", request, context)

    # Branches.

    async def CreateBranch(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See branches.create_branch."""
        return await self._requests.perform("create_branch", request, context)

    async def InspectBranch(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See branches.inspect_branch."""
        return await self._requests.read(branches.inspect_branch, request)

    async def ListBranch(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See branches.list_branches."""
        async for info in self._requests.stream(branches.list_branches, request):
            yield info

    async def DeleteBranch(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See branches.delete_branch."""
        return await self._requests.perform("delete_branch", request, context)

    # Commits.

    async def StartCommit(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See commits.start_commit."""
        return await self._wire.perform("start_commit", request, context)

    async def FinishCommit(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See commits.finish_commit."""
        return await self._requests.perform("finish_commit", request, context)

    async def InspectCommit(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """A commit, once it is as far as `wait` says; NOT_FOUND, also when it is dropped meanwhile."""
        row, info = await self._database.read(lambda connection: _commit_in_state(connection, request))
        if info is not None:
            return info
        # It is this commit that is waited for, also where a branch was named and moves on.
        request = pfs_pb2.InspectCommitRequest(commit=request.commit, wait=request.wait)
        request.commit.id = row["commit_set"]
        return await self._await_commit(row, request)

    async def ListCommit(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See commits.list_commits."""
        async for info in self._requests.stream(commits.list_commits, request):
            yield info

    async def SubscribeCommit(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Every commit of the repo in the order they began, each once it is as far as `state`; then those to come."""
        repo, skipped = await self._requests.read(_subscribed, request)
        last = 0
        with self._database.listen(("repo", repo)) as rung:
            while True:
                rung.clear()
                infos = await self._database.read(partial(_ready_after, request, repo, last, skipped))
                for rowid, info in infos:
                    yield info
                    last = rowid
                if not infos:
                    await rung.wait()

    async def InspectCommitSet(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """The commits of a set and those they were made from, each finished where `wait`."""
        named = await self._requests.read(commit_sets.inspect_commit_set, request)
        state = pfs_pb2.CommitState.FINISHED if request.wait else pfs_pb2.CommitState.STARTED
        for commit in named:
            yield await self.InspectCommit(pfs_pb2.InspectCommitRequest(commit=commit, wait=state), None)

    async def ListCommitSet(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See commit_sets.list_commit_sets."""
        async for info in self._database.stream(
            lambda connection: commit_sets.list_commit_sets(connection, request.project.name)
        ):
            yield info

    async def SquashCommitSet(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See commit_sets.squash_commit_set."""
        return await self._requests.perform("squash_commit_set", request, context)

    async def DropCommitSet(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See commit_sets.drop_commit_set."""
        return await self._requests.write(commit_sets.drop_commit_set, request)

    # Files.

    async def ModifyFile(self, requests: AsyncIterator[Any], context: Any) -> Any:  # noqa: N802
        """See intake.py and modify.py."""
        commit, changes = await intake.receive(requests, self._blobs, self._threads)
        # A broken stream ends like a complete one, and that it broke is told right after. Sending something comes
        # back behind that, so that a broken stream is cancelled here, before it changes anything.
        await context.send_initial_metadata(())
        await self._database.write(lambda txn: modify.apply(txn, commit, changes, self._blobs))
        return empty_pb2.Empty()

    async def GetFile(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See content.read_one."""
        async for chunk in self._requests.stream(partial(content.read_one, blobs=self._blobs), request, batch=1):
            yield wrappers_pb2.BytesValue(value=chunk)

    async def GetFileTAR(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See content.read_tar."""
        async for chunk in self._requests.stream(partial(content.read_tar, blobs=self._blobs), request, batch=1):
            yield wrappers_pb2.BytesValue(value=chunk)

    async def InspectFile(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """See files.inspect_file."""
        return await self._requests.read(files.inspect_file, request)

    async def ListFile(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See files.list_files."""
        async for info in self._requests.stream(files.list_files, request):
            yield info

    async def WalkFile(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See files.walk_files."""
        async for info in self._requests.stream(files.walk_files, request):
            yield info

    async def GlobFile(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See files.glob_files."""
        async for info in self._requests.stream(files.glob_files, request):
            yield info

    async def DiffFile(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See diff.diff_files."""
        async for response in self._requests.stream(diff.diff_files, request):
            yield response

    async def Fsck(self, _request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """See fsck.check; nothing is fixed."""
        async for response in self._database.stream(partial(fsck.check, blobs=self._blobs)):
            yield response

    async def _await_commit(self, row: Any, request: Any) -> Any:
        awaited = {row["id"]}
        if request.wait == pfs_pb2.CommitState.READY:
            upstream = await self._database.read(lambda connection: commits.provenance_of(connection, row["id"]))
            awaited.update(other["id"] for other in upstream)
        with self._database.listen(*(("commit", rowid) for rowid in awaited)) as rung:
            while True:
                rung.clear()
                _, info = await self._database.read(lambda connection: _commit_in_state(connection, request))
                if info is not None:
                    return info
                await rung.wait()


def _commit_in_state(connection: Any, request: Any) -> tuple[Any, Any | None]:
    row = find_commit(connection, request.commit)
    far_enough = commits.has_state(connection, row, request.wait)
    return row, commits.commit_info(connection, row) if far_enough else None


def _subscribed(connection: Any, request: Any) -> tuple[int, int]:
    """The repo, and the commit that is left out, by their rowids."""
    repo = find_repo(connection, request.repo)["id"]
    # The commit itself is left out, and nothing before it: Pachyderm's `from` is no cursor.
    return repo, find_commit(connection, getattr(request, "from"))["id"] if request.HasField("from") else 0


def _ready_after(request: Any, repo: int, last: int, skipped: int, connection: Any) -> list[tuple[int, Any]]:
    """The commits to tell of now: in order, up to the first that is not as far as it must be, and not too many.

    NOT_FOUND where the repo is gone, also when another has taken its name.
    """
    ready: list[tuple[int, Any]] = []
    if find_repo(connection, request.repo)["id"] != repo:
        raise not_found(f"repo {repo_text(request.repo)}")
    for row in commits.matching_after(connection, request, repo, last, skipped):
        if len(ready) == BATCH or not commits.has_state(connection, row, request.state):
            break
        ready.append((row["id"], commits.commit_info(connection, row)))
    return ready
