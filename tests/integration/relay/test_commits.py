"""Every commit of ingest is told of once, though relay and engine are restarted meanwhile."""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

import functions.relay
import shared.pachyderm
from shared.bus import Bus
from shared.events import CommitFinished, Event
from shared.pachyderm import ABANDONED, Pachyderm, commit_of
from shared.settings import Settings
from shared.workspaces import ensure
from tests.integration.engine import Engine

BOUND = 30


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that this test may kill."""
    started = Engine(tmp_path)
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def own_pachyderm(own_engine: Engine) -> AsyncIterator[Pachyderm]:
    connected = shared.pachyderm.connect(Settings(pachyderm_address=own_engine.address))
    yield connected
    await connected.close()


@pytest.fixture
async def workspace(bus: Bus, pachyderm: Pachyderm) -> str:
    name = f"ws-{secrets.token_hex(4)}"
    await ensure(pachyderm, bus, name)
    return name


@asynccontextmanager
async def relaying(bus: Bus, pachyderm: Pachyderm) -> AsyncIterator[None]:
    relay = asyncio.create_task(functions.relay.run(bus=bus, pachyderm=pachyderm, jobs=await bus.jobs()))
    try:
        yield
        assert not relay.done(), relay.exception()
    finally:
        relay.cancel()
        ended, _ = await asyncio.wait({relay}, timeout=BOUND)
    assert ended, "told to stop, the relay goes on"


def commit(client: Any, workspace: str, number: int, *, finish: bool = True, error: str | None = None) -> str:
    """As ingest makes it."""
    description = json.dumps({"kaos-run": f"run{number}", "kaos-bundle": f"d:{number:07}"})
    made = client.start_commit("data", f"r{number}", description=description, project_name=workspace)
    if finish:
        client.finish_commit(commit_of(workspace, "data", made.id), error=error)
    return str(made.id)


class Told:
    """The commits told of in one workspace, as they are published."""

    def __init__(self) -> None:
        self.commits: Counter[str] = Counter()
        self.events: list[CommitFinished] = []
        self._changed = asyncio.Condition()

    async def hear(self, message: Any) -> None:
        event = Event[CommitFinished].model_validate_json(message.data)
        async with self._changed:
            self.commits[event.data.commit] += 1
            self.events.append(event.data)
            self._changed.notify_all()

    async def until(self, commits: set[str]) -> None:
        async with asyncio.timeout(BOUND), self._changed:
            await self._changed.wait_for(lambda: commits <= self.commits.keys())

    async def until_there_are(self, count: int) -> None:
        async with asyncio.timeout(BOUND), self._changed:
            await self._changed.wait_for(lambda: len(self.commits) >= count)


async def stored(bus: Bus, workspace: str) -> int:
    """How many events the stream holds, after deduplication."""
    info = await bus.stream.stream_info("kaos-events", subjects_filter=f"kaos.{workspace}.commit.>")
    return sum((info.state.subjects or {}).values())


@asynccontextmanager
async def listening(bus: Bus, workspace: str) -> AsyncIterator[Told]:
    told = Told()
    subscription = await bus.client.subscribe(f"kaos.{workspace}.commit.data.finished", cb=told.hear)
    yield told
    await subscription.unsubscribe()


async def test_a_finished_commit_is_told_and_any_other_is_not(bus: Bus, pachyderm: Pachyderm, workspace: str) -> None:
    def work(client: Any) -> list[str]:
        foreign = client.start_commit("data", "foreign", description="somebody's own", project_name=workspace)
        client.finish_commit(commit_of(workspace, "data", foreign.id))
        commit(client, workspace, 1, finish=False)
        commit(client, workspace, 2, error=ABANDONED)
        return [commit(client, workspace, 3), commit(client, workspace, 4, error="the disk is full")]

    async with listening(bus, workspace) as told, relaying(bus, pachyderm):
        good, bad = await pachyderm.call(work)
        await told.until({good, bad})
    events = {event.commit: event for event in told.events}
    assert events.keys() == {good, bad}
    assert (events[good].run, events[good].bundle, events[good].error) == ("run3", "d:0000003", "")
    assert events[bad].error == "the disk is full"


async def test_an_open_commit_holds_back_nobody_and_is_told_when_it_ends(
    bus: Bus, pachyderm: Pachyderm, workspace: str
) -> None:
    async with listening(bus, workspace) as told, relaying(bus, pachyderm):
        slow = await pachyderm.call(lambda client: commit(client, workspace, 1, finish=False))
        quick = await pachyderm.call(lambda client: commit(client, workspace, 2))
        await told.until({quick})
        dropped = await pachyderm.call(lambda client: commit(client, workspace, 3, finish=False))
        await pachyderm.call(lambda client: client.drop_commit(dropped))
        await pachyderm.call(lambda client: client.finish_commit(commit_of(workspace, "data", slow)))
        await told.until({slow, quick})
    assert told.commits == {slow: 1, quick: 1}


async def test_what_was_told_is_not_told_again_however_much_later(
    bus: Bus, pachyderm: Pachyderm, workspace: str
) -> None:
    """Without the stream's own deduplication, which forgets after ten minutes."""
    config = (await bus.stream.stream_info("kaos-events")).config
    config.duplicate_window = 0.1  # the least
    await bus.stream.update_stream(config)
    async with listening(bus, workspace) as told:
        made: set[str] = set()
        for number in range(3):
            async with relaying(bus, pachyderm):
                made.add(await pachyderm.call(lambda client, number=number: commit(client, workspace, number)))
                await told.until(made)
                await noted(bus, workspace, len(made))
    assert set(told.commits.values()) == {1}


async def noted(bus: Bus, workspace: str, count: int) -> None:
    notes = await bus.key_value("kaos-relay")
    async with asyncio.timeout(BOUND):
        watcher = await notes.watch(f"{workspace}.data.*")
        seen = 0
        async for entry in watcher:
            seen += entry is not None
            if seen == count:
                break
        await watcher.stop()


async def test_200_commits_over_restarts_of_relay_and_engine_are_told_once_each(
    bus: Bus, own_engine: Engine, own_pachyderm: Pachyderm
) -> None:
    workspace, made = f"ws-{secrets.token_hex(4)}", set[str]()
    await ensure(own_pachyderm, bus, workspace)

    async def make() -> None:
        number = 0
        while len(made) < 200:
            number += 1
            try:
                made.add(await own_pachyderm.call(lambda client, number=number: commit(client, workspace, number)))
            except (grpc.RpcError, ConnectionError):
                await asyncio.sleep(0.05)  # the engine is being restarted

    making = asyncio.create_task(make())
    async with listening(bus, workspace) as told:
        for restart in ("relay", "engine", "relay", "engine", "relay"):
            async with relaying(bus, own_pachyderm):
                await told.until_there_are(min(len(told.commits) + 20, 200))
                if restart == "engine":
                    await asyncio.to_thread(own_engine.stop, kill=True)
                    await asyncio.to_thread(own_engine.start)
        await making
        async with relaying(bus, own_pachyderm):
            await told.until(made)
    # A commit whose answer was lost in the crash is told too, though this test does not know of it.
    assert 200 <= len(told.commits) <= 202
    assert await stored(bus, workspace) == len(told.commits)


async def test_it_is_told_soon(bus: Bus, pachyderm: Pachyderm, workspace: str) -> None:
    took = []
    async with listening(bus, workspace) as told, relaying(bus, pachyderm):
        for number in range(20):
            made = await pachyderm.call(lambda client, number=number: commit(client, workspace, number))
            began = time.monotonic()
            await told.until({made})
            took.append(time.monotonic() - began)
    # 2 ms where this was written; what must not be is a wait for the next look (5 s) or resubscription (0.5 s).
    assert sorted(took)[10] < 0.25
