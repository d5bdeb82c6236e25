"""Holds Pachyderm's streams, since Pachyderm tells nobody by itself, and turns what they say into events.

Pachyderm is the outbox: whatever was not told, because this process or NATS was away, is told when it looks again.
Deterministic event ids make telling twice harmless.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Final

import grpc
import structlog
from nats.js.errors import KeyDeletedError, KeyNotFoundError
from nats.js.kv import KeyValue

from functions.relay.commits import relay_commits
from functions.relay.jobs import relay_jobs
from shared.bus import Bus
from shared.jobs import Jobs
from shared.names import PART_KINDS, PartKind
from shared.pachyderm import Pachyderm, details

# A new workspace is announced on NATS; this is for an announcement that got lost.
_LOOK_SECONDS: Final = 5.0
_RESUBSCRIBE_SECONDS: Final = 0.5
# The cursor is written this often at most, so that it costs nothing per event.
_CURSOR_SECONDS: Final = 2.0
# Commits finish out of order and clocks differ: what finished up to this long before the cursor is told again. It
# stays below the stream's duplicate window of 600 s (deploy/nats.toml), so that the repetition is dropped there.
_OVERLAP_NS: Final = 300 * 10**9

log = structlog.get_logger()


async def run(*, bus: Bus, pachyderm: Pachyderm, jobs: Jobs) -> None:
    """Relays all workspaces' commits and all launched jobs until cancelled."""
    cursors = await bus.stream.key_value("kaos-relay")
    announced = asyncio.Event()

    async def announce(_: object) -> None:
        announced.set()

    subscription = await bus.client.subscribe("kaos.*.workspace.created", cb=announce)
    try:
        async with asyncio.TaskGroup() as streams:
            streams.create_task(relay_jobs(bus=bus, pachyderm=pachyderm, jobs=jobs))
            known: set[str] = set()
            while True:
                announced.clear()
                for workspace in await _workspaces(pachyderm):
                    if workspace not in known:
                        known.add(workspace)
                        for repo in PART_KINDS:
                            streams.create_task(
                                _keep_relaying(workspace, repo, bus=bus, pachyderm=pachyderm, cursors=cursors)
                            )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(announced.wait(), timeout=_LOOK_SECONDS)
    finally:
        await subscription.unsubscribe()


async def _workspaces(pachyderm: Pachyderm) -> Iterable[str]:
    try:
        projects = await pachyderm.call(lambda client: list(client.list_project()))
    except grpc.RpcError as error:
        log.warning("relay.pachyderm-away", error=details(error))
        return ()
    return [project.project.name for project in projects]


async def _keep_relaying(workspace: str, repo: PartKind, *, bus: Bus, pachyderm: Pachyderm, cursors: KeyValue) -> None:
    """Resubscribes whenever the stream breaks. A workspace without this repo is not one of ours (yet)."""
    key = f"{workspace}.{repo}"
    cursor = await _read_cursor(cursors, key)
    written = time.monotonic()
    while True:

        def told(finished: int) -> None:
            nonlocal cursor
            cursor = max(cursor, finished)

        relaying = asyncio.create_task(
            relay_commits(workspace, repo, bus=bus, pachyderm=pachyderm, told_before=cursor - _OVERLAP_NS, told=told)
        )
        before = cursor
        try:
            while not relaying.done():
                await asyncio.wait({relaying}, timeout=_CURSOR_SECONDS)
                if cursor != before and time.monotonic() - written >= _CURSOR_SECONDS:
                    await cursors.put(key, str(cursor).encode())
                    before, written = cursor, time.monotonic()
            relaying.result()
        except* grpc.RpcError as errors:
            log.debug("relay.resubscribes", workspace=workspace, repo=repo, error=details(errors.exceptions[0]))
        finally:
            relaying.cancel()
        await asyncio.sleep(_RESUBSCRIBE_SECONDS)


async def _read_cursor(cursors: KeyValue, key: str) -> int:
    try:
        entry = await cursors.get(key)
    except (KeyNotFoundError, KeyDeletedError):
        return 0
    return int(entry.value or b"0")
