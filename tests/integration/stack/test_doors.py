"""The stack's doors: who may come in with what, and what no other user of the machine can read."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig

from kaos.stack.home import secrets_of
from tests.integration.stack.conftest import Stack, is_gone, until

BOUND = 30


@pytest.fixture
def credentials(stack: Stack) -> Any:
    return stack.credentials()


@asynccontextmanager
async def rejections(credentials: Any, workspace: str) -> AsyncIterator[tuple[Any, list[str]]]:
    """A subscriber: an event that is set when a run of the workspace is rejected, and the types of all events."""
    told: list[str] = []
    done = asyncio.Event()

    async def hear(message: Any) -> None:
        told.append(json.loads(message.data)["type"])
        if message.subject.endswith(".rejected"):
            done.set()

    client = await nats.connect(credentials["NATS_URL"])
    await client.subscribe(f"kaos.{workspace}.>", cb=hear)
    await client.flush()
    yield done, told
    await client.close()


async def test_a_bare_drop_becomes_events_that_a_subscriber_hears(stack: Stack, credentials: Any) -> None:
    bucket = stack.store()
    async with rejections(credentials, "dropped") as (done, told):
        await asyncio.to_thread(bucket.put_object, Bucket="kaos-inbox", Key="dropped/data/junk.tar", Body=b"junk")
        await asyncio.wait_for(done.wait(), BOUND)

    assert "kaos.object.created" in told
    client = await nats.connect(credentials["NATS_URL"])
    history = await client.jetstream().subscribe("kaos.dropped.run.>", stream="kaos-events", ordered_consumer=True)
    first = await history.next_msg(timeout=BOUND)
    assert json.loads(first.data)["type"] == "kaos.run.changed"
    await client.close()
    bucket.close()


async def test_what_is_dropped_while_the_functions_are_away_is_found(stack: Stack, credentials: Any) -> None:
    bucket = stack.store()
    async with rejections(credentials, "away") as (done, _):
        pid = (await asyncio.to_thread(stack.pids))["serve"]
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: is_gone(pid))
        await asyncio.to_thread(bucket.put_object, Bucket="kaos-inbox", Key="away/data/junk.tar", Body=b"junk")
        await asyncio.wait_for(done.wait(), BOUND)
    bucket.close()


async def test_a_subscriber_changes_nothing(credentials: Any) -> None:
    refused = asyncio.Event()

    async def on_error(_: Exception) -> None:
        refused.set()

    client = await nats.connect(credentials["NATS_URL"], error_cb=on_error)
    stream = client.jetstream(timeout=0.3)
    await client.publish("kaos.mnist.run.x.succeeded", b"{}")
    await client.flush()
    await asyncio.wait_for(refused.wait(), BOUND)
    for config in (
        ConsumerConfig(durable_name="ingest", filter_subject="kaos.nothing"),
        ConsumerConfig(name="ingest", filter_subject="kaos.nothing"),
    ):
        with pytest.raises(NatsTimeoutError):
            await stream.add_consumer("kaos-events", config)
    # The one way in, which ordered consumers need, makes consumers without a lasting name and changes none.
    for naming in ({"durable_name": "ingest"}, {"name": "ingest"}):
        wanted = {"ack_policy": "none", "deliver_subject": "_INBOX.x", "filter_subject": "kaos.nothing", **naming}
        request = json.dumps({"stream_name": "kaos-events", "config": wanted}).encode()
        answer = await client.request("$JS.API.CONSUMER.CREATE.kaos-events", request, timeout=BOUND)
        assert "error" in json.loads(answer.data)
    with pytest.raises(NatsTimeoutError):
        await stream.delete_consumer("kaos-events", "ingest")
    with pytest.raises(NatsTimeoutError):
        await stream.purge_stream("kaos-events")
    await client.close()


def test_secrets_are_in_no_command_line_and_in_no_file_for_others(stack: Stack) -> None:
    secrets = asdict(secrets_of(stack.home)).values()
    for pid in stack.pids().values():
        line = Path(f"/proc/{pid}/cmdline").read_text()
        assert not [secret for secret in secrets if secret in line]
    assert stat.S_IMODE(stack.root.stat().st_mode) == 0o700
    for name in ("secrets.json", "nats/nats.conf", "client.json"):
        assert stat.S_IMODE((stack.root / name).stat().st_mode) == 0o600
    for log in (stack.root / "logs").iterdir():
        text = log.read_text()
        assert not [secret for secret in secrets if secret in text], log


def test_credentials_are_lines_for_a_shell(stack: Stack, credentials: Any) -> None:
    lines = stack.call("status", "--credentials").stdout.splitlines()

    assert f"export AWS_ACCESS_KEY_ID={credentials['AWS_ACCESS_KEY_ID']}" in lines
    assert all(line.startswith("export ") for line in lines)
