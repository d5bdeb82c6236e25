"""All entries of a bucket are read, every time."""

import asyncio

from shared.bus import Bus
from shared.entries import entries


async def test_what_is_there_is_read_and_what_was_deleted_is_not(bus: Bus) -> None:
    bucket = await bus.key_value("kaos-runs")
    assert [entry async for entry in entries(bucket)] == []
    for key in ("mnist.a", "mnist.b", "other.a"):
        await bucket.put(key, key.encode())
    await bucket.delete("mnist.b")
    await bucket.put("mnist.a", b"changed")
    assert dict([entry async for entry in entries(bucket)]) == {"mnist.a": b"changed", "other.a": b"other.a"}
    assert [entry async for entry in entries(bucket, "mnist.*")] == [("mnist.a", b"changed")]
    assert [entry async for entry in entries(bucket, "*.a", keys_only=True)] == [("other.a", b""), ("mnist.a", b"")]
    assert [entry async for entry in entries(bucket, "nobody.*")] == []


async def test_nothing_is_missed_however_quick_the_server_is(bus: Bus) -> None:
    """nats-py's watcher fails here."""
    bucket = await bus.key_value("kaos-runs")
    await bucket.put("mnist.a", b"1")

    async def read() -> list[str]:
        return [key async for key, _ in entries(bucket)]

    for _ in range(25):
        assert await asyncio.gather(*(read() for _ in range(8))) == [["mnist.a"]] * 8


async def test_a_pass_ends_though_all_is_purged_meanwhile(bus: Bus) -> None:
    bucket = await bus.key_value("kaos-runs")
    await asyncio.gather(*(bucket.put(f"mnist.{number}", b"x" * 1000) for number in range(3000)))
    seen = 0
    async with asyncio.timeout(20):
        async for _ in entries(bucket):
            seen += 1
            if seen == 1:
                await bus.stream.purge_stream("KV_kaos-runs")
    assert 1 <= seen <= 3000
