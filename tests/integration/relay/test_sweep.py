"""Objects whose notification got lost are found in the bucket of a real store, and told of once."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from functions.relay import sweep as sweep_module
from functions.relay.sweep import INCOMPLETE_AFTER, Inbox, end_incomplete, keep_sweeping
from shared.bucket import Bucket
from shared.bus import Bus
from shared.events import Event, ObjectCreated
from shared.names import inbox_key
from shared.objects import Claim, object_id
from shared.runs import Part, Run
from shared.settings import Settings

RUN = "01jd0000000000000000000000"

Put = Callable[[str], None]


@pytest.fixture
def put(bucket: Bucket, store_settings: Settings) -> Put:
    return lambda key: bucket.client.put_object(Bucket=store_settings.inbox_bucket, Key=key, Body=b"x") and None


@pytest.fixture
async def inbox(bus: Bus, bucket: Bucket, store_settings: Settings) -> Inbox:
    return Inbox(bus, bucket, await bus.objects(), store_settings.inbox_bucket)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every object counts as old: the store's clock, told in whole seconds, may be a second behind an object's time."""
    monkeypatch.setattr(sweep_module, "_ON_ITS_WAY", timedelta(seconds=-2))


async def told(bus: Bus) -> list[Event[ObjectCreated]]:
    """All events of objects that the stream holds."""
    messages = (await bus.stream.stream_info("kaos-events")).state.messages
    raw = [await bus.stream.get_msg("kaos-events", seq) for seq in range(1, messages + 1)]
    return [Event[ObjectCreated].model_validate_json(message.data or b"") for message in raw]


async def give_to_ingest(bus: Bus, count: int) -> None:
    subscription = await bus.stream.pull_subscribe_bind("ingest", stream="kaos-events")
    for _ in range(count):
        await subscription.fetch(1, timeout=5)
    await subscription.unsubscribe()


async def claim(bus: Bus, bucket: Bucket, name: str, key: str) -> None:
    """As ingest does it, from what it reads when it opens the object."""
    async with bucket.opened(name, key) as stored:
        identity = object_id(name, key, within=inbox_key(key), etag=stored.etag, modified=stored.modified)
    await (await bus.objects()).claim(identity, Claim(workspace="mnist", run=RUN, event="e"))


@pytest.mark.usefixtures("settled")
async def test_what_nobody_has_claimed_is_told_and_repeating_it_is_one_event(
    bus: Bus, bucket: Bucket, inbox: Inbox, put: Put, store_settings: Settings
) -> None:
    keys = ["mnist/data/a.tar", "mnist/source/a.zip", f"mnist/data/{RUN}/a.tar"]
    for key in (*keys, "mnist/data/no bundle+é.zip", "loose.zip", "mnist/sauce/a.zip", "mnist/data/x/a.zip"):
        put(key)
    assert [await inbox.tell_missed() for _ in range(2)] == [3, 0], "then they are in ingest's queue"
    await give_to_ingest(bus, 3)
    assert await inbox.tell_missed() == 3, "ingest has not claimed them"
    events = await told(bus)
    assert {event.data.key for event in events} == set(keys)
    assert len(events) == 3
    async with bucket.opened(store_settings.inbox_bucket, keys[0], etag=events[0].data.etag) as stored:
        assert stored.etag == events[0].data.etag
    for event in events:
        assert (event.source, event.data.size, event.data.workspace) == ("/kaos/test", 1, "mnist")
        assert datetime.now(UTC) - event.time < timedelta(minutes=1)


@pytest.mark.usefixtures("settled")
async def test_what_ingest_has_claimed_is_not_told(
    *, bus: Bus, bucket: Bucket, inbox: Inbox, put: Put, store_settings: Settings, tmp_path: Path
) -> None:
    keys = ["mnist/data/a b.tar", "mnist/data/c.tar", f"mnist/source/{RUN}/c.zip"]
    for key in keys[1:]:
        put(key)
        await claim(bus, bucket, store_settings.inbox_bucket, key)
    (tmp_path / "large").write_bytes(bytes(9 << 20))  # boto3 sends this in parts
    await bucket.upload(store_settings.inbox_bucket, "mnist/data/large.tar", tmp_path / "large")
    await claim(bus, bucket, store_settings.inbox_bucket, "mnist/data/large.tar")
    assert await inbox.tell_missed() == 0
    put("mnist/data/late.tar")
    await claim(bus, bucket, store_settings.inbox_bucket, "mnist/data/late.tar")
    assert await inbox.tell_missed() == 0, "claimed after the sweep began to remember"


@pytest.mark.usefixtures("settled")
async def test_the_same_dropped_again_is_told_again(
    bus: Bus, bucket: Bucket, inbox: Inbox, put: Put, store_settings: Settings
) -> None:
    put("mnist/data/a.tar")
    assert await inbox.tell_missed() == 1
    [first] = await told(bus)
    await claim(bus, bucket, store_settings.inbox_bucket, "mnist/data/a.tar")
    await give_to_ingest(bus, 1)
    # The store's times, as GET tells them, have whole seconds.
    await asyncio.sleep(1 - (datetime.now(UTC) - first.time).total_seconds())
    put("mnist/data/a.tar")
    assert await inbox.tell_missed() == 1
    assert len(await told(bus)) == 2


async def test_a_young_object_s_notification_is_on_its_way(inbox: Inbox, put: Put) -> None:
    put("mnist/data/a.tar")
    assert await inbox.tell_missed() == 0


@pytest.mark.usefixtures("settled")
async def test_what_may_be_in_ingest_s_queue_is_not_told(bus: Bus, inbox: Inbox, put: Put) -> None:
    waiting = ObjectCreated(workspace="mnist", bucket="b", key="mnist/data/q.tar", size=1, etag="e")
    await bus.publish(waiting)
    put("mnist/data/a.tar")
    assert await inbox.tell_missed() == 0, "nothing has been given to ingest"
    await give_to_ingest(bus, 1)
    assert await inbox.tell_missed() == 1, "the queue is empty"


@pytest.mark.usefixtures("settled")
async def test_a_bucket_of_several_pages(
    bus: Bus, bucket: Bucket, inbox: Inbox, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "_PAGE", 10)
    keys = [f"{workspace}/data/{number}.tar" for workspace in ("mnist", "other") for number in range(15)]
    await asyncio.gather(*(bucket.call(lambda _, key=key: put(key)) for key in keys))
    assert await inbox.tell_missed() == len(keys)
    assert (await bus.stream.stream_info("kaos-events")).state.messages == len(keys)


async def test_the_sweep_goes_on_when_the_store_comes_back(
    bus: Bus, bucket: Bucket, store_settings: Settings, settled: None, put: Put
) -> None:
    settings = store_settings.model_copy(update={"sweep_seconds": 0.01, "inbox_bucket": "not-there"})
    heard: asyncio.Queue[Any] = asyncio.Queue()
    subscription = await bus.client.subscribe("kaos.mnist.object.created", cb=heard.put)
    sweeping = asyncio.create_task(keep_sweeping(bus=bus, bucket=bucket, runs=await bus.runs(), settings=settings))
    try:
        await asyncio.sleep(0.05)  # some passes that fail
        bucket.client.create_bucket(Bucket="not-there")
        bucket.client.put_object(Bucket="not-there", Key="mnist/data/a.tar", Body=b"x")
        message = await asyncio.wait_for(heard.get(), timeout=10)
    finally:
        sweeping.cancel()
        await asyncio.wait({sweeping}, timeout=10)
        await subscription.unsubscribe()
    assert Event[ObjectCreated].model_validate_json(message.data).data.bucket == "not-there"


async def test_a_run_whose_uploads_never_came_ends(bus: Bus) -> None:
    runs = await bus.runs()
    old, young = datetime.now(UTC) - INCOMPLETE_AFTER - timedelta(minutes=1), datetime.now(UTC)
    parts = {"source": Part(kind="source", commit="c"), "data": Part(kind="data")}
    for number, (created, has) in enumerate([(old, parts), (young, parts), (old, {"source": parts["source"]})]):
        expected = ("source",) if number == 2 else ("source", "data")
        record = {"workspace": "mnist", "id": f"{RUN[:-1]}{number}", "created": created, "parts": has}
        await runs.create(Run.model_validate(record | {"expected": expected, "state": "building"}))
    workspaces = await bus.key_value("kaos-workspaces")
    await workspaces.put("mnist", b'{"name": "mnist", "created": "2026-11-25T00:00:00Z"}')
    assert [await end_incomplete(bus, runs) for _ in range(2)] == [1, 0]
    states = [run.state for run in await runs.list("mnist")]
    assert states == ["building", "building", "rejected"]
    ended = await runs.get("mnist", f"{RUN[:-1]}0")
    assert ended.error is not None
    assert (ended.error.code, "lacks data" in ended.error.message) == ("run.incomplete", True)


def test_what_is_told_twice_by_different_words_is_one_object() -> None:
    modified = datetime(2026, 11, 25, 12, 0, 0, 400_000, tzinfo=UTC)
    bare, within = inbox_key("mnist/data/a.zip"), inbox_key(f"mnist/data/{RUN}/a.zip")

    def identity(within: Any, etag: str = "e", seconds: float = 0.0) -> str:
        return object_id("b", "k", within=within, etag=etag, modified=modified + timedelta(seconds=seconds))

    assert identity(bare) == identity(bare, seconds=0.5)
    assert len({identity(bare), identity(bare, seconds=0.7), identity(bare, etag="f"), identity(within)}) == 4
    assert identity(within) == identity(within, etag="f", seconds=9)
