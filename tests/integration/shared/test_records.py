"""Compare-and-set on a real key-value bucket: a guess of what is there never decides anything."""

import asyncio

import pytest
from nats.js.kv import KeyValue
from pydantic import BaseModel

from shared.bus import Bus
from shared.records import Records


class Counter(BaseModel):
    count: int = 0


def add(counter: Counter) -> None:
    counter.count += 1


@pytest.fixture
async def bucket(bus: Bus) -> KeyValue:
    return await bus.key_value("kaos-runs")


async def test_two_who_do_not_know_of_each_other_lose_nothing(bucket: KeyValue) -> None:
    one, other = Records(bucket, Counter), Records(bucket, Counter)
    assert await one.create("c", Counter())
    assert not await other.create("c", Counter(count=9))
    await asyncio.gather(*(records.update("c", add) for records in (one, other) * 4))
    assert await one.get("c") == Counter(count=8)


async def test_what_changes_nothing_is_judged_by_what_is_there(bucket: KeyValue) -> None:
    one, other = Records(bucket, Counter), Records(bucket, Counter)
    await one.create("c", Counter())
    await other.update("c", add)
    assert await one.update("c", lambda _: None) == Counter(count=1)


async def test_what_a_stale_guess_makes_raise_is_tried_on_what_is_there(bucket: KeyValue) -> None:
    one, other = Records(bucket, Counter), Records(bucket, Counter)
    await one.create("c", Counter())
    await other.update("c", add)

    def only_after_the_first(counter: Counter) -> None:
        if counter.count != 1:
            raise ValueError(counter.count)
        counter.count += 1

    assert await one.update("c", only_after_the_first) == Counter(count=2)
    with pytest.raises(ValueError, match="2"):
        await one.update("c", only_after_the_first)


async def test_of_no_record_nothing_is_made(bucket: KeyValue) -> None:
    records = Records(bucket, Counter)
    assert await records.update("none", add) is None
    assert await records.get("none") is None


async def test_a_record_that_was_deleted_is_gone_also_for_who_knew_it(bucket: KeyValue) -> None:
    records = Records(bucket, Counter)
    await records.create("c", Counter())
    await bucket.purge("c")
    assert await records.update("c", add) is None
