"""Event streams: the past, then the present, each event once, to the run's end."""

import asyncio
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from functions.gateway.events import EventType
from shared.events import (
    CommitFinished,
    Data,
    JobFinished,
    JobStarted,
    LogLine,
    MetricsReported,
    ObjectCreated,
    RunChanged,
    RunState,
    new_event,
)
from shared.progress import advance

RUN = "01jd0000000000000000000000"
OTHER = "01jd0000000000000000000001"
PATH = f"/v1/workspaces/mnist/runs/{RUN}/events"


def changed(state: RunState, run: str = RUN, workspace: str = "mnist") -> RunChanged:
    return RunChanged(workspace=workspace, run=run, state=state)


async def test_a_run_s_events_are_those_that_name_it(api: Any) -> None:
    await api.a_run()
    mine = [
        changed("received"),
        ObjectCreated(
            workspace="mnist", bucket="b", key="k", size=1, etag="e", metadata={"kaos-run": RUN, "kaos-parts": "source"}
        ),
        CommitFinished(workspace="mnist", repo="source", commit="c", run=RUN),
        JobStarted(workspace="mnist", stage="build", pipeline="build", job="j", runs=(OTHER, RUN)),
    ]
    others = [
        changed("received", OTHER),
        changed("received", RUN, "other"),
        ObjectCreated(workspace="mnist", bucket="b", key="k2", size=1, etag="e"),
        CommitFinished(workspace="mnist", repo="source", commit="c2", run=OTHER),
    ]
    for event in (*mine, *others):
        await api.bus.publish(event)
    told = [event async for event in api.lines(PATH)]
    assert [event["type"] for event in told] == [event.type for event in mine]
    assert {event["specversion"] for event in told} == {"1.0"}
    everything = [event async for event in api.lines("/v1/workspaces/mnist/events")]
    assert len(everything) == len(mine) + len(others) - 1


async def test_following_gives_the_past_then_the_present_and_ends_with_the_run(api: Any) -> None:
    await api.a_run()
    await api.bus.publish(changed("received"))
    states = []
    async with asyncio.timeout(10):
        async for event in api.lines(f"{PATH}?follow=true"):
            states.append(event["data"]["state"])
            following: dict[str, RunState] = {"received": "ingesting", "ingesting": "building", "building": "failed"}
            if states[-1] in following:
                await advance(api.bus, api.runs, "mnist", RUN, following[states[-1]])
    assert states == ["received", "ingesting", "building", "failed"]


async def test_following_a_run_that_is_over_ends(api: Any) -> None:
    await api.a_run()
    await advance(api.bus, api.runs, "mnist", RUN, "succeeded")
    async with asyncio.timeout(10):
        assert [event["data"]["state"] async for event in api.lines(f"{PATH}?follow=true")] == ["succeeded"]


async def test_following_ends_even_where_the_last_event_is_lost(api: Any) -> None:
    await api.a_run(state="killed")
    async with asyncio.timeout(10):
        assert [event async for event in api.lines(f"{PATH}?follow=true")] == []


async def test_a_reader_resumes_after_the_last_event_it_saw(api: Any) -> None:
    path = "/v1/workspaces/mnist/events"
    for number in range(300):
        await api.bus.publish(changed("received", f"01jd{number:022}"))
    seen = [event async for event in api.lines(path)]
    assert len({event["id"] for event in seen}) == 300
    cursor = seen[199]["sequence"]
    assert [event async for event in api.lines(f"{path}?after={cursor}")] == seen[200:]


async def test_a_reader_who_leaves_leaves_nothing_behind(api: Any) -> None:
    await api.bus.publish(changed("received"))
    lines = api.lines("/v1/workspaces/mnist/events?follow=true")
    assert (await anext(lines))["data"]["state"] == "received"
    gone = await api.bus.client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.DELETED.kaos-events.*")
    await lines.aclose()
    await gone.next_msg(timeout=10)
    assert all(info.config.durable_name for info in await api.bus.stream.consumers_info("kaos-events"))


async def test_a_reader_goes_on_when_its_consumer_is_lost(api: Any) -> None:
    """As when the server restarts: such consumers live in its memory."""
    await api.bus.publish(changed("received"))
    lines = api.lines("/v1/workspaces/mnist/events?follow=true")
    assert (await anext(lines))["data"]["state"] == "received"
    for info in await api.bus.stream.consumers_info("kaos-events"):
        if not info.config.durable_name:
            await api.bus.stream.delete_consumer("kaos-events", info.name)
    await api.bus.publish(changed("ingesting"))
    async with asyncio.timeout(20):
        assert (await anext(lines))["data"]["state"] == "ingesting"
    await lines.aclose()


def reported(seq: int, run: str = RUN, trial: str = "cebf650000") -> MetricsReported:
    return MetricsReported(
        workspace="mnist",
        run=run,
        job="j",
        trial=trial,
        seq=seq,
        time=datetime.now(UTC),
        metrics={"loss": 1 / (seq + 1)},
    )


async def test_metrics_come_among_the_events_in_the_order_of_time(api: Any) -> None:
    await api.a_run()
    events = [changed("received"), reported(0), changed("training"), reported(1), reported(2)]
    for event in (*events, reported(0, OTHER), changed("received", OTHER)):
        await api.bus.publish(event)
    told = [event async for event in api.lines(PATH)]
    assert [event["id"] for event in told] == [new_event(event, source="test").id for event in events]
    everything = [event async for event in api.lines("/v1/workspaces/mnist/events")]
    assert everything[:5] == told
    for number, event in enumerate(everything):
        rest = [event async for event in api.lines(f"/v1/workspaces/mnist/events?after={event['sequence']}")]
        assert rest == everything[number + 1 :]


async def test_metrics_come_while_a_run_goes_on_and_all_before_its_end(api: Any) -> None:
    await api.a_run()
    await api.bus.publish(changed("received"))
    seen = []
    async with asyncio.timeout(10):
        async for event in api.lines(f"{PATH}?follow=true"):
            seen.append(event["data"].get("state") or event["data"]["seq"])
            if seen[-1] in {"received", 0}:
                await api.bus.publish(reported(0 if seen[-1] == "received" else 1))
            elif seen[-1] == 1:
                for seq in range(2, 50):
                    await api.bus.publish(reported(seq))
                await advance(api.bus, api.runs, "mnist", RUN, "succeeded")
    assert seen == ["received", *range(50), "succeeded"]


@pytest.mark.parametrize("sequence", ["x", "-1", "1-", "1-2-3", "1.5", "9" * 30])
async def test_a_place_that_is_none_is_refused(api: Any, sequence: str) -> None:
    assert (await api.ask("GET", f"/v1/workspaces/mnist/events?after={sequence}"))[0] == 400


async def test_events_are_chosen_by_type_and_by_time(api: Any) -> None:
    await api.a_run()
    metrics = MetricsReported(
        workspace="mnist", run=RUN, job="j", trial="cebf65", seq=0, time=datetime.now(UTC), metrics={"loss": 1}
    )
    job = JobStarted(workspace="mnist", stage="train", pipeline="p", job="j", runs=(RUN,))
    for event in (changed("received"), job, metrics, changed("received", OTHER)):
        await api.bus.publish(event)

    async def types(path: str) -> list[str]:
        return [event["type"] async for event in api.lines(path)]

    chosen = "type=kaos.run.changed&type=kaos.metrics.reported"
    assert sorted(await types(f"{PATH}?{chosen}")) == ["kaos.metrics.reported", "kaos.run.changed"]
    assert await types(f"{PATH}?type=kaos.job.started") == ["kaos.job.started"]
    assert await types("/v1/workspaces/mnist/events?type=kaos.run.changed") == ["kaos.run.changed"] * 2
    assert len(await types("/v1/workspaces/mnist/events?since=2026-01-01T00:00:00Z")) == 4
    assert await types("/v1/workspaces/mnist/events?since=2100-01-01T00:00:00Z") == []
    assert (await api.ask("GET", f"{PATH}?type=kaos.log.line"))[0] == 400


async def test_a_followed_run_that_tells_of_metrics_alone_ends_with_the_run(api: Any) -> None:
    await api.a_run()
    await advance(api.bus, api.runs, "mnist", RUN, "failed")
    async with asyncio.timeout(10):
        assert [event async for event in api.lines(f"{PATH}?follow=true&type=kaos.metrics.reported")] == []


def test_every_type_of_event_can_be_asked_for() -> None:
    told = {kind.type for kind in Data.__subclasses__() if kind is not LogLine}
    assert told | {JobFinished.type} == set(get_args(EventType))
