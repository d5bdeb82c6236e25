"""Datums share the machine: who doesn't fit waits, nobody for ever, and who never can is told why."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kaos.pachd.pps.slots import Capacity, Slots
from kaos.pachd.runtimes.container import Limits

GIB = 2**30


@asynccontextmanager
async def waiting(slots: Slots, asked: Limits) -> AsyncIterator["asyncio.Future[Limits]"]:
    """One who asks, and keeps what was given; asked in vain, it is still waiting when this begins."""
    end = asyncio.Event()
    given: asyncio.Future[Limits] = asyncio.get_running_loop().create_future()

    async def keep() -> None:
        async with slots.take(asked) as limits:
            given.set_result(limits)
            await end.wait()

    keeping = asyncio.create_task(keep())
    await settled()
    try:
        yield given
    finally:
        end.set()
        if not given.done():
            keeping.cancel()
        await asyncio.wait({keeping})


async def settled() -> None:
    """Whoever can go on has."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "asked", [Limits(cpu=1.5), Limits(memory=3 * GIB), Limits(gpus=(0, 1)), Limits(cpu=0.5, memory=3 * GIB)]
)
async def test_what_does_not_fit_beside_another_waits_for_it(asked: Limits) -> None:
    slots = Slots(Capacity(2, 4 * GIB, (0, 1)))
    async with waiting(slots, asked) as first:
        assert first.done()
        async with waiting(slots, asked) as second:
            assert not second.done()
    async with waiting(slots, asked) as third:
        assert third.done()


async def test_what_fits_does_not_wait() -> None:
    slots = Slots(Capacity(2, 4 * GIB, (0, 1)))
    half = Limits(cpu=1, memory=2 * GIB, gpus=(0,))
    async with waiting(slots, half) as first, waiting(slots, half) as second:
        assert [first.result().gpus, second.result().gpus] == [(0,), (1,)]


async def test_who_says_nothing_takes_a_core() -> None:
    slots = Slots(Capacity(2, GIB))
    async with waiting(slots, Limits()) as first, waiting(slots, Limits()) as second:
        assert first.done()
        assert second.done()
        async with waiting(slots, Limits()) as third:
            assert not third.done()


async def test_fractions_of_cores_add_up_however_often_they_were_given() -> None:
    slots = Slots(Capacity(2, GIB))
    for cpu in (0.1, 0.7, 0.3, 0.01, 1.1):
        async with waiting(slots, Limits(cpu=cpu)), waiting(slots, Limits(cpu=0.3)):
            pass
    async with waiting(slots, Limits(cpu=2)) as all_of_it:
        assert all_of_it.done()


async def test_nobody_overtakes_who_waits_for_much() -> None:
    slots = Slots(Capacity(2, GIB))
    one, two, half = Limits(cpu=1), Limits(cpu=2), Limits(cpu=0.5)
    async with waiting(slots, one), waiting(slots, two) as large, waiting(slots, half) as small:
        assert not large.done()
        assert not small.done()


async def test_who_leaves_while_waiting_lets_the_next_in() -> None:
    slots = Slots(Capacity(2, GIB))
    async with waiting(slots, Limits(cpu=1)):
        async with waiting(slots, Limits(cpu=2)):
            pass
        async with waiting(slots, Limits(cpu=1)) as next_one:
            assert next_one.done()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Limits(cpu=2.5), "2.5 cores are asked for, and this machine gives 2"),
        (Limits(memory=5 * GIB), "5,368,709,120 bytes of memory"),
        (Limits(gpus=(0, 1)), "2 GPUs are asked for, and this machine has 1"),
        (Limits(cpu=2, memory=4 * GIB, gpus=(0,)), ""),
        (Limits(), ""),
    ],
)
def test_why_something_can_never_be(asked: Limits, words: str) -> None:
    found = Slots(Capacity(2, 4 * GIB, (0,))).why_never(asked)
    assert words in found
    assert bool(found) == bool(words)
