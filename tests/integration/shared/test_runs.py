"""Run and job records in a real key-value bucket: compare-and-set, and states that only move forward."""

import asyncio
from datetime import UTC, datetime

import pytest

from shared.bus import Bus
from shared.errors import NotFound, Reject
from shared.jobs import OwnedJob
from shared.progress import advance, give_up, reject
from shared.runs import Run


def new_run(workspace: str = "mnist", run: str = "01a") -> Run:
    return Run(workspace=workspace, id=run, created=datetime.now(UTC), expected=("source",))


async def test_one_of_two_creators_wins(bus: Bus) -> None:
    runs = await bus.runs()
    assert sorted(await asyncio.gather(runs.create(new_run()), runs.create(new_run()))) == [False, True]


async def test_concurrent_changes_are_all_kept(bus: Bus) -> None:
    runs = await bus.runs()
    await runs.create(new_run())

    await asyncio.gather(
        *(
            runs.update("mnist", "01a", lambda record, n=n: record.times.update({f"n{n}": record.created}))
            for n in range(8)
        )
    )
    assert len((await runs.get("mnist", "01a")).times) == 8


async def test_an_unknown_run_is_not_found(bus: Bus) -> None:
    runs = await bus.runs()
    with pytest.raises(NotFound) as missing:
        await runs.get("mnist", "01b")
    assert missing.value.code == "run.unknown"


async def test_a_list_shows_one_workspace_newest_first(bus: Bus) -> None:
    runs = await bus.runs()
    for workspace, run in (("mnist", "01a"), ("mnist", "01b"), ("other", "01c")):
        await runs.create(new_run(workspace, run))
    assert [run.id for run in await runs.list("mnist")] == ["01b", "01a"]
    assert await runs.list("empty") == []


async def test_the_newest_are_read_without_the_others(bus: Bus) -> None:
    runs = await bus.runs()
    names = [f"01{number:03}" for number in range(100)]
    for name in names:
        await runs.create(new_run("other" if name.endswith("7") else "mnist", name))
    everywhere = runs.newest()
    assert [(await anext(everywhere)).id for _ in range(3)] == ["01099", "01098", "01097"]
    await everywhere.aclose()
    assert [run.id async for run in runs.newest("other", before="01037")] == ["01027", "01017", "01007"]
    assert [run.id async for run in runs.newest()] == names[::-1]


async def test_a_state_never_goes_back_and_a_final_one_stays(bus: Bus) -> None:
    runs = await bus.runs()
    await runs.create(new_run())
    assert (await advance(bus, runs, "mnist", "01a", "training")).state == "training"
    assert (await advance(bus, runs, "mnist", "01a", "building")).state == "training"
    assert (await reject(bus, runs, "mnist", "01a", Reject("x.y", "because"))).state == "rejected"
    ended = await advance(bus, runs, "mnist", "01a", "succeeded")
    assert (ended.state, ended.error and ended.error.code) == ("rejected", "x.y")


async def test_each_state_is_published_once(bus: Bus) -> None:
    runs = await bus.runs()
    await runs.create(new_run())
    subscription = await bus.stream.subscribe("kaos.mnist.run.01a.*", ordered_consumer=True)
    for state in ("ingesting", "ingesting", "building"):
        await advance(bus, runs, "mnist", "01a", state)
    subjects = [(await subscription.next_msg(timeout=5)).subject for _ in range(2)]
    assert subjects == ["kaos.mnist.run.01a.ingesting", "kaos.mnist.run.01a.building"]
    assert subscription.pending_msgs == 0


async def test_a_job_is_claimed_by_several_runs_and_watched(bus: Bus) -> None:
    jobs = await bus.jobs()
    for run in ("01a", "01b", "01a"):
        await jobs.claim(OwnedJob(workspace="mnist", job="j", pipeline="build", stage="build", runs=(run,)))
    watch = jobs.watch()
    seen = await asyncio.wait_for(anext(watch), timeout=5)
    assert seen.runs == ("01a", "01b")
    await jobs.update("mnist", "j", lambda owned: setattr(owned, "launched", True))
    assert (await asyncio.wait_for(anext(watch), timeout=5)).launched
    await watch.aclose()
    assert await jobs.get("mnist", "unknown") is None


async def test_a_run_that_kaos_gave_up_ends_failed_and_says_why(bus: Bus) -> None:
    runs = await bus.runs()
    await runs.create(new_run())
    ended = await give_up(bus, runs, "mnist", "01a", ValueError("broken"))
    assert (ended.state, ended.error.code if ended.error else "") == ("failed", "internal.given-up")
    assert "ValueError: broken" in (ended.error.message if ended.error else "")
