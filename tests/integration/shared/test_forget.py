"""A workspace that is deleted leaves no record and no event, and takes those of no other with it."""

from datetime import UTC, datetime

from shared.bus import Bus
from shared.events import RunChanged
from shared.jobs import OwnedJob
from shared.objects import Claim
from shared.runs import Run

NAMES = ("mnist", "mnist-2")


async def test_a_workspace_is_forgotten_and_no_other(bus: Bus) -> None:
    runs, jobs, objects = await bus.runs(), await bus.jobs(), await bus.objects()
    for name in NAMES:
        await runs.create(Run(workspace=name, id="01a", created=datetime.now(UTC), expected=("source",)))
        await jobs.claim(OwnedJob(workspace=name, job="j", pipeline="build", stage="build", runs=("01a",)))
        await (await bus.trained()).note(name, "f", "01a")
        await (await bus.waiting()).add(name, "01a")
        await objects.claim(f"of-{name}", Claim(workspace=name, run="01a", event="e"))
        await bus.publish(RunChanged(workspace=name, run="01a", state="received"))

    for _ in range(2):  # harmless to repeat
        await bus.forget("mnist")
        await objects.forget("mnist")

    for name, left in (("mnist", False), ("mnist-2", True)):
        assert bool(await runs.list(name)) is left
        assert (await jobs.get(name, "j") is not None) is left
        assert bool(await (await bus.trained()).find(name, "f")) is left
        assert bool(await (await bus.waiting()).of(name)) is left
        assert await objects.is_claimed(f"of-{name}") is left
    state = (await bus.stream.stream_info("kaos-events", subjects_filter="kaos.>")).state
    assert state.subjects == {"kaos.mnist-2.run.01a.received": 1}


async def test_what_was_forgotten_can_be_there_again(bus: Bus) -> None:
    runs, objects = await bus.runs(), await bus.objects()
    run = Run(workspace="mnist", id="01a", created=datetime.now(UTC), expected=("source",))
    claim = Claim(workspace="mnist", run="01a", event="e")
    for _ in range(2):
        assert await runs.create(run)
        assert await objects.claim("x", claim) == claim
        await (await bus.waiting()).add("mnist", "01a")
        await bus.forget("mnist")
        await objects.forget("mnist")
