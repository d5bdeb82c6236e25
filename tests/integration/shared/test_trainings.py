"""Who waits, and what was trained: small indexes that many change at once."""

import asyncio

from shared.bus import Bus
from shared.runs import Options
from shared.trainings import fingerprint


async def test_of_many_who_begin_to_wait_at_once_none_is_forgotten(bus: Bus) -> None:
    waiting = await bus.waiting()
    await asyncio.gather(*(waiting.add("w", f"run{number}") for number in range(8)))
    assert await waiting.of("w") == [f"run{number}" for number in range(8)]
    await asyncio.gather(*(waiting.remove("w", f"run{number}") for number in range(0, 8, 2)))
    assert await waiting.of("w") == ["run1", "run3", "run5", "run7"]
    assert await waiting.of("other") == []


async def test_the_newest_run_of_a_fingerprint_counts(bus: Bus) -> None:
    trained = await bus.trained()
    assert await trained.find("w", "f") == ""
    await trained.note("w", "f", "one")
    await trained.note("w", "f", "two")
    assert await trained.find("w", "f") == "two"


def test_resources_count_and_parallelism_does_not() -> None:
    contents = ("image", "data", "params")
    assert fingerprint(contents, Options()) == fingerprint(contents, Options(parallelism=3))
    assert fingerprint(contents, Options()) != fingerprint(contents, Options(memory="1Gi"))
    assert fingerprint(contents, Options()) != fingerprint(("image", "other", "params"), Options())
