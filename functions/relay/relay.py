"""Holds Pachyderm's streams, since Pachyderm tells nobody by itself, and turns what they say into events.

Pachyderm is the outbox: whatever was not told, because this process or NATS was away, is told when it looks again.
Deterministic event ids make telling twice harmless.
"""

import asyncio
import contextlib
import itertools
from typing import Final

import grpc
import structlog
from nats.errors import Error as NatsError

from functions.relay.commits import relay_commits
from functions.relay.jobs import relay_jobs
from shared.bus import Bus
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
            relayed: dict[tuple[str, PartKind], asyncio.Task[None]] = {}
            while True:
                announced.clear()
                for key in itertools.product(await _workspaces(pachyderm), PART_KINDS):
                    if key not in relayed or relayed[key].done():
                        relayed[key] = streams.create_task(_keep_relaying(*key, bus=bus, pachyderm=pachyderm))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(announced.wait(), timeout=_LOOK_SECONDS)
    finally:
        await subscription.unsubscribe()


async def _workspaces(pachyderm: Pachyderm) -> list[str]:
    """The projects of Pachyderm; none while it is away."""
    try:
        projects = await pachyderm.call(lambda client: list(client.list_project()))
    except (grpc.RpcError, ConnectionError) as error:
        log.warning("relay.pachyderm-away", error=details(error))
        return []
    return [project.project.name for project in projects]


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
        if there:
            log.debug("relay.resubscribes", workspace=workspace, repo=repo)
            await asyncio.sleep(_RESUBSCRIBE_SECONDS)
