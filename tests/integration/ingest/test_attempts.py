"""Attempts that die, hang, lapse or overtake each other leave one finished commit, and none that blocks anybody."""

import asyncio
import os
import threading
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

import shared.bucket
import shared.pachyderm
from functions.ingest import commit as commit_module
from shared.bus import Bus
from shared.errors import Retry
from shared.events import Event
from shared.pachyderm import ABANDONED
from shared.progress import advance
from shared.runs import Run
from tests.archives import make_zip
from tests.integration.ingest.conftest import Inbox

BOUND = 20
BODY = make_zip({"a": b"1", "b": b"2"})


class Gate:
    """Holds whoever calls the wrapped function, before or after it works, until the test lets them go. In a thread."""

    def __init__(self, work: Callable[..., Any], *, after: bool = False) -> None:
        self._work, self._after = work, after
        self._reached, self._released = threading.Event(), threading.Event()
        self._closed = True

    def __call__(self, *arguments: Any) -> Any:
        if not self._closed:
            return self._work(*arguments)
        self._closed = False  # the first only
        result = self._work(*arguments) if self._after else None
        self._reached.set()
        assert self._released.wait(BOUND)
        return result if self._after else self._work(*arguments)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, BOUND)

    def release(self) -> None:
        self._released.set()


@asynccontextmanager
async def held(name: str, monkeypatch: pytest.MonkeyPatch, *, after: bool = False) -> AsyncIterator[Gate]:
    gate = Gate(getattr(commit_module, name), after=after)
    monkeypatch.setattr(commit_module, name, gate)
    try:
        yield gate
    finally:
        gate.release()


async def the_one_commit(inbox: Inbox) -> Run:
    """The run, after checking that it has one commit, finished and complete, and that no other is left."""
    run = await inbox.only_run()
    [info] = await inbox.commits("data")
    assert (info.commit.id, info.error) == (run.parts["data"].commit, "")
    assert info.HasField("finished")
    assert len(await inbox.files("data", info.commit.id)) == 2
    return run


@pytest.mark.parametrize("step", ["_upload", "_finish"])
async def test_an_attempt_that_is_told_to_stop_leaves_no_commit(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    event = await inbox.drop("data", "d.zip", BODY)
    async with held(step, monkeypatch) as gate:
        attempt = asyncio.create_task(inbox.ingest(event))
        await gate.reached()
        attempt.cancel()
        await asyncio.wait({attempt}, timeout=BOUND)
        assert attempt.cancelled()
        assert await inbox.commits("data") == []
    await inbox.ingest(event)
    await the_one_commit(inbox)


@pytest.mark.parametrize("step", ["_head", "_upload", "_finish"])
@pytest.mark.parametrize("after", [False, True])
async def test_an_attempt_that_was_overtaken_changes_nothing_more(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool
) -> None:
    """It was paused for longer than ack_wait, and the event was given to another."""
    event = await inbox.drop("data", "d.zip", BODY)
    async with held(step, monkeypatch, after=after) as gate:
        paused = asyncio.create_task(inbox.ingest(event))
        await gate.reached()
        await inbox.ingest(event)
        run = await the_one_commit(inbox)
        gate.release()
        done, _ = await asyncio.wait({paused}, timeout=BOUND)
        assert done
    error = paused.exception()
    if (step, after) == ("_finish", True):
        assert error is None, "it was the first to finish: the other has adopted its commit"
    else:
        assert isinstance(error, Retry)
        assert error.after >= timedelta(seconds=30)
    assert await the_one_commit(inbox) == run


async def test_an_attempt_that_died_before_it_noted_its_commit_blocks_nobody(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await inbox.drop("data", "d.zip", BODY)
    async with held("_start", monkeypatch, after=True) as gate:
        paused = asyncio.create_task(inbox.ingest(event))
        await gate.reached()
        with pytest.raises(Retry) as soon:
            await inbox.ingest(event)
        assert soon.value.after < timedelta(seconds=1)
        await inbox.ingest(event)
        run = await the_one_commit(inbox)
        gate.release()
        await asyncio.wait({paused}, timeout=BOUND)
    assert isinstance(paused.exception(), Retry)
    assert await the_one_commit(inbox) == run


async def test_an_answer_that_got_lost_is_found_to_be_success(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = commit_module._finish

    def lose(*arguments: Any) -> None:
        finish(*arguments)
        raise grpc.RpcError

    monkeypatch.setattr(commit_module, "_finish", lose)
    await inbox.ingest(await inbox.drop("data", "d.zip", BODY))
    await the_one_commit(inbox)


async def test_a_failed_attempt_is_cleared_away_at_once(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    event = await inbox.drop("data", "d.zip", BODY)

    def fail(*_: Any) -> None:
        raise OSError("disk")

    with monkeypatch.context() as patched:
        patched.setattr(commit_module, "_upload", fail)
        with pytest.raises(OSError, match="disk"):
            await inbox.ingest(event)
    assert await inbox.commits("data") == []
    await inbox.ingest(event)
    await the_one_commit(inbox)


async def test_kill_9_in_mid_upload(inbox: Inbox, server: Process) -> None:
    event = await inbox.drop("data", "d.zip", make_zip({"a": os.urandom(60 << 20), "b": b"2"}))
    await inbox.bus.forward(event)
    async with asyncio.timeout(BOUND):
        while not await open_commits(inbox):
            assert server.returncode is None
            await asyncio.sleep(0.005)  # Pachyderm tells nobody of an open commit but those who ask
    server.kill()
    await server.wait()
    [left] = await open_commits(inbox)
    assert left.commit.id == (await inbox.only_run()).parts["data"].attempt
    await inbox.ingest(event)
    await the_one_commit(inbox)


async def open_commits(inbox: Inbox) -> list[Any]:
    try:
        return [info for info in await inbox.commits("data") if not info.HasField("finished")]
    except grpc.RpcError:
        return []  # the workspace is being made


async def test_a_commit_that_was_given_up_is_told_from_one_that_failed(inbox: Inbox) -> None:
    run = await inbox.submit(data="d.zip")
    await inbox.ingest(await inbox.put(run.parts["data"].key, BODY))
    commit = (await inbox.only_run()).parts["data"].commit

    def close(client: Any) -> str:
        return commit_module._close(client, run, "data", commit)

    assert await inbox.pachyderm.call(close) == "finished"
    [info] = await inbox.commits("data")
    assert info.error != ABANDONED


async def test_servers_that_are_away_are_waited_for(inbox: Inbox, unused_tcp_port_factory: Callable[[], int]) -> None:
    event = await inbox.drop("data", "d.zip", BODY)
    nowhere = f"127.0.0.1:{unused_tcp_port_factory()}"
    settings = inbox.settings.model_copy(update={"s3_endpoint": f"http://{nowhere}", "pachyderm_address": nowhere})
    bucket, pachyderm = shared.bucket.connect(settings), shared.pachyderm.connect(settings)
    for away in (replace(inbox, bucket=bucket), replace(inbox, pachyderm=pachyderm)):
        with pytest.raises(Retry):
            await away.ingest(event)
    bucket.close()
    await pachyderm.close()
    await inbox.ingest(event)
    await the_one_commit(inbox)


async def test_the_heartbeat_of_the_living_takes_back_the_nak_of_the_overtaken(bus: Bus) -> None:
    """What the delay of commit.py's _OVERTAKEN relies on, with shorter times."""
    stream = bus.stream
    config = (await stream.consumer_info("kaos-events", "ingest")).config
    config.ack_wait = 0.3
    await stream.add_consumer("kaos-events", config)
    await stream.publish("kaos.mnist.object.created", Event[Any].model_construct(data=None).model_dump_json().encode())
    subscription = await stream.pull_subscribe_bind("ingest", stream="kaos-events")
    [overtaken] = await subscription.fetch(1, timeout=5)
    [living] = await subscription.fetch(1, timeout=5)
    assert living.metadata.num_delivered == 2
    await overtaken.nak(delay=0.5)
    beats_until = datetime.now(UTC) + timedelta(seconds=1)
    while datetime.now(UTC) < beats_until:
        await living.in_progress()
        await asyncio.sleep(0.1)
    info = await stream.consumer_info("kaos-events", "ingest")
    assert (info.num_redelivered, info.num_ack_pending, info.delivered and info.delivered.consumer_seq) == (1, 1, 2)
    await living.ack_sync()
    await bus.client.publish(overtaken.reply, b'-NAK {"delay": 1000000}')  # nanoseconds; the client sends one only
    await bus.client.flush()
    assert (await stream.consumer_info("kaos-events", "ingest")).num_ack_pending == 0


async def test_a_run_that_is_killed_during_the_upload_leaves_no_commit_and_no_newest(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await inbox.drop("data", "d.zip", BODY)
    async with held("_upload", monkeypatch) as gate:
        attempt = asyncio.create_task(inbox.ingest(event))
        await gate.reached()
        run = await inbox.only_run()
        await advance(inbox.bus, inbox.runs, inbox.workspace, run.id, "killed")
        gate.release()
        await attempt
    assert await inbox.commits("data") == []
    assert "master" not in await inbox.heads("data")
    await inbox.ingest(event)  # a redelivery
    assert (await inbox.commits("data"), (await inbox.only_run()).state) == ([], "killed")
