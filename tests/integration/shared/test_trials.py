"""Trials of a grid of 10,000, which no single record could hold, are kept and read in their order."""

from datetime import UTC, datetime
from typing import Any

from shared.bus import Bus
from shared.runs import Run
from shared.trials import Trial, Trials


def run(count: int, **fields: Any) -> Run:
    whole = {"workspace": "mnist", "id": "01a", "created": datetime.now(UTC), "expected": ("params",)}
    return Run.model_validate(whole | {"trial_count": count} | fields)


def trial(number: int, **fields: Any) -> Trial:
    params = {"degree": number, "gamma": 0.1, "kernel": "rbf"}
    return Trial(id=f"{number:010x}", datum=f"{number:064x}", state="succeeded", params=params, **fields)


async def opened(bus: Bus) -> Trials:
    return await bus.trials()


async def test_ten_thousand(bus: Bus) -> None:
    trials, store = (
        [trial(number, metrics={"accuracy": number / 10_000}) for number in range(10_000)],
        await opened(bus),
    )
    assert sum(len(each.model_dump_json()) for each in trials) > 2**20, "more than one message takes"
    await store.keep("mnist", "01a", trials)
    assert await store.of(run(10_000)) == trials


async def test_what_is_heard_after_the_end_changes_nothing(bus: Bus) -> None:
    store = await opened(bus)
    await store.keep("mnist", "01a", [trial(1, model="m")])
    await store.keep_live("mnist", "01a", [trial(2)], {0})
    assert await store.of(run(1)) == [trial(1, model="m")]
    assert await store.of(run(1, trials_live=True)) == [trial(2)]


async def test_of_what_goes_on_only_chunks_that_changed_are_written(bus: Bus) -> None:
    store = await opened(bus)
    trials = [trial(number) for number in range(60)]
    await store.keep_live("mnist", "01a", trials, range(60))
    bucket = await bus.key_value("kaos-live")
    before = [(await bucket.get(f"mnist.01a.{number}")).revision for number in range(3)]
    trials[30].metrics["loss"] = 0.5
    await store.keep_live("mnist", "01a", trials, {30})
    after = [(await bucket.get(f"mnist.01a.{number}")).revision for number in range(3)]
    assert (before[0], before[2]) == (after[0], after[2])
    assert before[1] != after[1]
    assert await store.of(run(60, trials_live=True)) == trials


async def test_a_run_that_adopted_models_has_those_of_the_run_that_trained_them(bus: Bus) -> None:
    store = await opened(bus)
    await store.keep("mnist", "01a", [trial(1, model="m")])
    assert await store.of(run(1, id="01b", same_as="01a")) == [trial(1, model="m")]


async def test_a_run_without_trials_asks_for_nothing(bus: Bus) -> None:
    assert await (await opened(bus)).of(run(0)) == []
