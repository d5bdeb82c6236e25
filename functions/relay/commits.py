"""Tells of every bundle's commit once it is finished in Pachyderm."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import grpc
import structlog
from python_pachyderm.proto.v2.pfs import pfs_pb2

from shared.bus import Bus
from shared.events import CommitFinished
from shared.names import PartKind
from shared.pachyderm import ABANDONED, Pachyderm, is_code

log = structlog.get_logger()


async def relay_commits(
    workspace: str, repo: PartKind, *, bus: Bus, pachyderm: Pachyderm, told_before: int, told: Callable[[int], None]
) -> None:
    """Publishes a CommitFinished for each commit of `repo` that ingest made, until the stream breaks.

    Pachyderm replays all commits on each subscription. Those finished before `told_before` (ns since the epoch)
    were told by an earlier subscription; `told` is called with the finishing time of each one told now.
    Raises grpc.RpcError when the stream breaks.
    """
    repository = pfs_pb2.Repo(name=repo, type="user", project=pfs_pb2.Project(name=workspace))
    # STARTED, and a wait for each commit by itself: Pachyderm's own wait for FINISHED goes in order, so that one
    # slow upload would hold back all later bundles.
    request = pfs_pb2.SubscribeCommitRequest(
        repo=repository, state=pfs_pb2.CommitState.STARTED, origin_kind=pfs_pb2.OriginKind.USER
    )
    stream = pachyderm.pfs.SubscribeCommit(request, metadata=pachyderm.metadata)
    async with asyncio.TaskGroup() as open_commits:
        async for info in stream:
            if not _run_and_bundle(info)[0]:
                continue
            if info.HasField("finished"):
                if info.finished.ToNanoseconds() >= told_before:
                    await _tell(workspace, repo, info, bus=bus, told=told)
            else:
                open_commits.create_task(_wait(workspace, repo, info, bus=bus, pachyderm=pachyderm, told=told))


async def _wait(
    workspace: str, repo: PartKind, info: Any, *, bus: Bus, pachyderm: Pachyderm, told: Callable[[int], None]
) -> None:
    request = pfs_pb2.InspectCommitRequest(commit=info.commit, wait=pfs_pb2.CommitState.FINISHED)
    try:
        finished = await pachyderm.pfs.InspectCommit(request, metadata=pachyderm.metadata)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return  # an attempt of ingest that was given up: another makes another commit
        raise
    await _tell(workspace, repo, finished, bus=bus, told=told)


async def _tell(workspace: str, repo: PartKind, info: Any, *, bus: Bus, told: Callable[[int], None]) -> None:
    if info.error == ABANDONED:
        return
    run, bundle = _run_and_bundle(info)
    await bus.publish(
        CommitFinished(workspace=workspace, repo=repo, commit=info.commit.id, run=run, bundle=bundle, error=info.error)
    )
    told(info.finished.ToNanoseconds())


def _run_and_bundle(info: Any) -> tuple[str, str]:
    """What ingest wrote into the commit's description; empty strings for commits that are not ingest's."""
    try:
        description = json.loads(info.description)
        return str(description["kaos-run"]), str(description["kaos-bundle"])
    except (ValueError, KeyError, TypeError):
        return "", ""
