"""Tells of every bundle's commit once it is finished in Pachyderm."""

import asyncio
import json
from typing import Any

import grpc
from nats.js.kv import KeyValue
from python_pachyderm.proto.v2.pfs import pfs_pb2

from shared.bus import Bus
from shared.cancellation import raise_if_cancelled
from shared.entries import entries
from shared.events import CommitFinished
from shared.names import PartKind
from shared.pachyderm import ABANDONED, Pachyderm, is_code


async def relay_commits(workspace: str, repo: PartKind, *, bus: Bus, pachyderm: Pachyderm) -> None:
    """Publishes a CommitFinished for each commit of `repo` that ingest made, until the stream breaks.

    Pachyderm replays all commits on each subscription. Those told before are noted in bucket `kaos-relay`, under
    `<workspace>.<repo>.<commit>`. Raises grpc.RpcError when the stream breaks, nats.errors.Error when NATS does.
    """
    notes = await bus.key_value("kaos-relay")
    told: set[str] | None = None
    repository = pfs_pb2.Repo(name=repo, type="user", project=pfs_pb2.Project(name=workspace))
    # STARTED, and a wait for each commit by itself: Pachyderm's own wait for FINISHED goes in order, so that one
    # slow upload would hold back all later bundles.
    request = pfs_pb2.SubscribeCommitRequest(
        repo=repository, state=pfs_pb2.CommitState.STARTED, origin_kind=pfs_pb2.OriginKind.USER
    )
    async with asyncio.TaskGroup() as open_commits:
        async for info in pachyderm.pfs.SubscribeCommit(request, metadata=pachyderm.metadata):
            if told is None:  # only now: a project that is none of ours is asked for its commits every few seconds
                told = {
                    key.rpartition(".")[2] async for key, _ in entries(notes, f"{workspace}.{repo}.*", keys_only=True)
                }
            if info.commit.id in told or not _run_and_bundle(info)[0]:
                pass
            elif info.HasField("finished"):
                await _tell(workspace, repo, info, bus=bus, notes=notes)
            else:
                open_commits.create_task(_wait(workspace, repo, info, bus=bus, pachyderm=pachyderm, notes=notes))
            raise_if_cancelled()


async def _wait(workspace: str, repo: PartKind, info: Any, *, bus: Bus, pachyderm: Pachyderm, notes: KeyValue) -> None:
    request = pfs_pb2.InspectCommitRequest(commit=info.commit, wait=pfs_pb2.CommitState.FINISHED)
    try:
        finished = await pachyderm.pfs.InspectCommit(request, metadata=pachyderm.metadata)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return  # an attempt of ingest that was given up: another makes another commit
        raise
    await _tell(workspace, repo, finished, bus=bus, notes=notes)


async def _tell(workspace: str, repo: PartKind, info: Any, *, bus: Bus, notes: KeyValue) -> None:
    """Publishes, then notes it. Who dies between the two publishes once more, which the event's id makes harmless."""
    if info.error == ABANDONED:
        return
    run, bundle = _run_and_bundle(info)
    await bus.publish(
        CommitFinished(workspace=workspace, repo=repo, commit=info.commit.id, run=run, bundle=bundle, error=info.error)
    )
    await notes.put(f"{workspace}.{repo}.{info.commit.id}", b"")


def _run_and_bundle(info: Any) -> tuple[str, str]:
    """What ingest wrote into the commit's description; empty strings for commits that are not ingest's."""
    try:
        description = json.loads(info.description)
        return str(description["kaos-run"]), str(description["kaos-bundle"])
    except (ValueError, KeyError, TypeError):
        return "", ""
