"""What an exception does to its event, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from shared import consumer as consumer_module
from shared.bus import Bus
from shared.consumer import Ends, consume
from shared.errors import Reject, Retry
from shared.events import CommitFinished, Event
from shared.function import Function

COMMIT = CommitFinished(workspace="mnist", repo="source", commit="c", run="01a", bundle="mnist:e23a2f1")
# A redelivery takes the delay that the handler asked for, milliseconds here: 10 s means that it never comes.
BOUND = 10


class Deliveries:
    """A handler that records its events and does with the nth what `script` says."""

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.events: list[Event[Any]] = []
        self.rejected: list[Reject] = []
        self.given_up: list[Exception] = []
        self.changed = asyncio.Condition()

    async def handle(self, event: Event[CommitFinished]) -> None:
        step = self.script.pop(0) if self.script else None
        await self._record(self.events, event)
        if step is not None:
            raise step

    async def reject(self, _: Event[Any], rejection: Reject) -> None:
        await self._record(self.rejected, rejection)

    async def give_up(self, _: Event[Any], error: Exception) -> None:
        await self._record(self.given_up, error)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(condition), BOUND)

    async def _record(self, where: list[Any], what: object) -> None:
        async with self.changed:
            where.append(what)
            self.changed.notify_all()


@asynccontextmanager
async def consuming(bus: Bus, deliveries: Deliveries, slots: int = 2) -> AsyncIterator[None]:
    function = Function("build", "build", CommitFinished, deliveries.handle, slots)
    task = asyncio.create_task(consume(function, bus, {}, ends=Ends(deliveries.reject, deliveries.give_up)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=BOUND)


async def settled(bus: Bus) -> bool:
    """Whether the server holds the message to be done with."""
    for _ in range(500):
        info = await bus.stream.consumer_info("kaos-events", "build")
        if info.num_pending == 0 and info.num_ack_pending == 0:
            return True
        await asyncio.sleep(0.01)  # the server offers no event for this
    return False


async def test_a_handled_event_is_gone(bus: Bus) -> None:
    deliveries = Deliveries()
    async with consuming(bus, deliveries):
        await bus.publish(COMMIT)
        await deliveries.until(lambda: len(deliveries.events) == 1)
        assert await settled(bus)
    assert deliveries.events[0].data == COMMIT


async def test_what_is_published_twice_is_handled_once(bus: Bus) -> None:
    deliveries = Deliveries()
    async with consuming(bus, deliveries):
        await bus.publish(COMMIT)
        await bus.publish(COMMIT)
        await bus.publish(COMMIT.model_copy(update={"commit": "d"}))
        await deliveries.until(lambda: len(deliveries.events) == 2)
        assert await settled(bus)
    assert sorted(event.data.commit for event in deliveries.events) == ["c", "d"]


async def test_a_retry_comes_again_and_is_not_an_attempt(bus: Bus) -> None:
    patience = [Retry("not yet", after=timedelta(milliseconds=5)) for _ in range(8)]
    deliveries = Deliveries(*patience)
    async with consuming(bus, deliveries):
        await bus.publish(COMMIT)
        await deliveries.until(lambda: len(deliveries.events) == 9)
        assert await settled(bus)


async def test_patience_uses_up_no_attempt(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "_BACKOFF_SECONDS", (0.005,) * 4)
    patience = [Retry("not yet", after=timedelta(milliseconds=5)) for _ in range(8)]
    deliveries = Deliveries(*patience, *[ValueError("broken")] * 4)
    async with consuming(bus, deliveries):
        await bus.publish(COMMIT)
        await deliveries.until(lambda: len(deliveries.events) == 13)
        assert await settled(bus)
    assert deliveries.given_up == []


async def test_a_rejection_is_told_and_never_repeated(bus: Bus) -> None:
    deliveries = Deliveries(Reject("bundle.empty", "The bundle is empty."))
    async with consuming(bus, deliveries):
        await bus.publish(COMMIT)
        await deliveries.until(lambda: len(deliveries.rejected) == 1)
        assert await settled(bus)
    assert (len(deliveries.events), deliveries.rejected[0].code) == (1, "bundle.empty")


async def test_a_poison_event_becomes_one_dead_letter_and_the_queue_moves_on(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "_BACKOFF_SECONDS", (0.005,) * 4)
    deliveries = Deliveries(*[ValueError("broken")] * 5)
    async with consuming(bus, deliveries, slots=1):
        await bus.publish(COMMIT)
        await deliveries.until(lambda: len(deliveries.events) == 5)
        assert await settled(bus)
        await bus.publish(COMMIT.model_copy(update={"commit": "next"}))
        await deliveries.until(lambda: len(deliveries.events) == 6)
    dead = await bus.stream.get_last_msg("kaos-dead", "kaos-dead.build")
    assert dead.headers is not None
    assert dead.headers["Kaos-Error"] == "ValueError: broken"
    assert [str(error) for error in deliveries.given_up] == ["broken"]
    assert (await bus.stream.stream_info("kaos-dead")).state.messages == 1


async def test_an_unreadable_event_is_a_dead_letter_at_once(bus: Bus) -> None:
    deliveries = Deliveries()
    async with consuming(bus, deliveries):
        await bus.stream.publish(COMMIT.subject(), b'{"not": "an event"}')
        assert await settled(bus)
        await bus.publish(COMMIT)
        await deliveries.until(lambda: len(deliveries.events) == 1)
    assert (await bus.stream.stream_info("kaos-dead")).state.messages == 1


class Slow(Deliveries):
    """A handler that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()
        self.ended = 0

    async def handle(self, event: Event[CommitFinished]) -> None:
        await super().handle(event)
        await self.may_end.wait()
        self.ended += 1


async def test_a_running_handler_may_end_when_its_consumer_stops(bus: Bus) -> None:
    slow = Slow()
    async with consuming(bus, slow):
        await bus.publish(COMMIT)
        await slow.until(lambda: len(slow.events) == 1)
        asyncio.get_running_loop().call_later(0.1, slow.may_end.set)

    assert slow.ended == 1
    assert await settled(bus)


async def test_what_does_not_end_in_time_is_handed_over_at_once(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "_DRAIN_SECONDS", 0.01)
    slow, next_one = Slow(), Deliveries()
    async with consuming(bus, slow):
        await bus.publish(COMMIT)
        await slow.until(lambda: len(slow.events) == 1)

    async with consuming(bus, next_one):
        await next_one.until(lambda: len(next_one.events) == 1)  # ack_wait is 30 s, three times this bound
        assert await settled(bus)
    assert slow.ended == 0
