"""Logs: history, then live lines, then what only the collected log has; no line missing, none twice."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from shared.events import LogLine
from shared.progress import advance

RUN = "01jd0000000000000000000000"
PATH = f"/v1/workspaces/mnist/runs/{RUN}/logs"


def line(seq: int, trial: str = "cebf65", job: str = "j") -> LogLine:
    now = datetime.now(UTC)
    return LogLine(
        workspace="mnist", run=RUN, stage="train", job=job, trial=trial, seq=seq, time=now, text=f"line {seq} é"
    )


def collect(store: Any, *lines: LogLine) -> None:
    body = b"".join(one.model_dump_json().encode() + b"\n" for one in lines)
    store.put_object(Bucket="kaos-logs", Key=f"mnist/{RUN}/train.ndjson", Body=body)


async def read(api: Any, query: str = "") -> list[tuple[str, int]]:
    async with asyncio.timeout(20):
        return [(told["trial"], told["seq"]) async for told in api.lines(f"{PATH}{query}")]


async def forget(store: Any) -> None:
    store.delete_object(Bucket="kaos-logs", Key=f"mnist/{RUN}/train.ndjson")


async def test_history_without_what_came_twice(api: Any, store: Any) -> None:
    await forget(store)
    await api.a_run(state="training")
    for one in (line(0), line(1), line(0, "other0"), line(2)):
        await api.bus.publish(one)
    # A follower that died tells again what it had told, after the server has forgotten the ids.
    again = line(1).model_copy(update={"workspace": "mnist"})
    await api.bus.stream.publish(again.subject(), json.dumps({"data": again.model_dump(mode="json")}).encode())
    assert await read(api) == [("cebf65", 0), ("cebf65", 1), ("other0", 0), ("cebf65", 2)]
    assert await read(api, "?tail=2") == [("other0", 0), ("cebf65", 2)]
    assert await read(api, "?tail=0") == []
    assert await read(api, "?stage=build") == []


async def test_a_line_has_what_a_reader_needs(api: Any, store: Any) -> None:
    await forget(store)
    await api.a_run(state="training")
    one = line(0)
    await api.bus.publish(one)
    [told] = [told async for told in api.lines(PATH)]
    shown = one.model_dump(mode="json")
    assert {name: shown[name] for name in ("stage", "job", "trial", "seq", "time", "text")}.items() <= told.items()


async def test_the_collected_log_is_the_log(api: Any, store: Any) -> None:
    await api.a_run(state="succeeded")
    collect(store, *(line(seq) for seq in range(1_000)))
    assert await read(api) == [("cebf65", seq) for seq in range(1_000)]
    assert await read(api, "?tail=3&follow=true") == [("cebf65", seq) for seq in (997, 998, 999)]


async def test_following_passes_from_history_to_live_to_collected(api: Any, store: Any) -> None:
    await forget(store)
    await api.a_run(state="training")
    for seq in range(300):
        await api.bus.publish(line(seq))
    seen = []
    async with asyncio.timeout(20):
        async for told in api.lines(f"{PATH}?follow=true"):
            seen.append(told["seq"])
            if seen[-1] == 299:
                await api.bus.publish(line(300))
            if seen[-1] == 300:
                # Line 301 never came live.
                collect(store, *(line(seq) for seq in range(302)))
                await advance(api.bus, api.runs, "mnist", RUN, "succeeded")
    assert seen == list(range(302))
    await forget(store)


async def test_following_a_run_that_ends_without_a_log_ends(api: Any, store: Any) -> None:
    await forget(store)
    await api.a_run(state="building")
    reading = asyncio.create_task(read(api, "?follow=true"))
    await advance(api.bus, api.runs, "mnist", RUN, "rejected")
    assert await reading == []


async def test_a_line_is_there_as_soon_as_it_is_told(api: Any, store: Any) -> None:
    await forget(store)
    await api.a_run(state="training")
    await api.bus.publish(line(0))
    lines = api.lines(f"{PATH}?follow=true")
    await anext(lines)
    delays = []
    for seq in range(1, 21):
        begun = asyncio.get_running_loop().time()
        await api.bus.publish(line(seq))
        assert (await anext(lines))["seq"] == seq
        delays.append(asyncio.get_running_loop().time() - begun)
    await lines.aclose()
    assert sorted(delays)[10] < 0.1
