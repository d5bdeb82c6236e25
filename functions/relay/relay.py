"""Holds Pachyderm's streams, since Pachyderm tells nobody by itself, and turns what they say into events.

Pachyderm is the outbox: whatever was not told, because this process or NATS was away, is told when it looks again.
Deterministic event ids make telling twice harmless.
"""

import asyncio
import contextlib
import itertools
from typing import Final, NamedTuple

import grpc
import structlog
from nats.errors import Error as NatsError

from functions.relay.commits import relay_commits
from functions.relay.jobs import relay_jobs
from shared.bus import Bus
from shared.cancellation import raise_if_cancelled
from shared.jobs import Jobs
from shared.names import PART_KINDS, PartKind
from shared.pachyderm import Pachyderm, details, is_code

# A new workspace is announced on NATS; this is for an announcement that got lost.
_LOOK_SECONDS: Final = 5.0
_RESUBSCRIBE_SECONDS: Final = 0.5

log = structlog.get_logger()


async def run(*, bus: Bus, pachyderm: Pachyderm, jobs: Jobs) -> None:
    """Relays all workspaces' commits and all launched jobs until cancelled."""
    announced = asyncio.Event()

    async def announce(_: object) -> None:
        announced.set()

    subscription = await bus.client.subscribe("kaos.*.workspace.created", cb=announce)
    try:
        async with asyncio.TaskGroup() as streams:
            streams.create_task(relay_jobs(bus=bus, pachyderm=pachyderm, jobs=jobs))
            relayed: dict[tuple[_Project, PartKind], asyncio.Task[None]] = {}
            while True:
                announced.clear()
                if (projects := await _projects(pachyderm)) is not None:
                    _forget_gone(relayed, projects)
                    for project, repo in itertools.product(projects, PART_KINDS):
                        if (project, repo) not in relayed or relayed[project, repo].done():
                            relayed[project, repo] = streams.create_task(
                                _keep_relaying(project.name, repo, bus=bus, pachyderm=pachyderm)
                            )
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await announced.wait()
    finally:
        await subscription.unsubscribe()


class _Project(NamedTuple):
    """A project and when it was made, in ns since the epoch: of two of one name, the second is not the first."""

    name: str
    created: int


def _forget_gone(relayed: dict[tuple[_Project, PartKind], asyncio.Task[None]], projects: list[_Project]) -> None:
    """Ends the streams of projects that were deleted: Pachyderm leaves them open, also where there is a new one."""
    for key in [key for key in relayed if key[0] not in projects]:
        relayed.pop(key).cancel()


async def _projects(pachyderm: Pachyderm) -> list[_Project] | None:
    """The projects of Pachyderm; None while it is away."""
    try:
        projects = await pachyderm.call(lambda client: list(client.list_project()))
    except (grpc.RpcError, ConnectionError) as error:
        log.warning("relay.pachyderm-away", error=details(error))
        return None
    return [_Project(info.project.name, info.created_at.ToNanoseconds()) for info in projects]


async def _keep_relaying(workspace: str, repo: PartKind, *, bus: Bus, pachyderm: Pachyderm) -> None:
    """Resubscribes whenever the stream breaks. Ends where there is no such repo: the project isn't ours, or not yet."""
    there = True
    while there:
        try:
            await relay_commits(workspace, repo, bus=bus, pachyderm=pachyderm)
        except* grpc.RpcError as errors:
            there = errors.subgroup(lambda error: is_code(error, grpc.StatusCode.NOT_FOUND)) is None
        except* (NatsError, TimeoutError) as errors:
            log.warning("relay.nats-failed", workspace=workspace, repo=repo, error=repr(errors.exceptions[0]))
        raise_if_cancelled()
        if there:
            log.debug("relay.resubscribes", workspace=workspace, repo=repo)
            await asyncio.sleep(_RESUBSCRIBE_SECONDS)
