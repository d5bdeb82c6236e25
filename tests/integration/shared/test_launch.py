"""A job is made exactly once, wherever an attempt dies. Records are real; Pachyderm's transactions are a fake."""

import contextlib
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from shared.bus import Bus
from shared.errors import Reject, Retry
from shared.jobs import Jobs
from shared.launch import launch, stop
from shared.pachyderm import Pachyderm
from shared.progress import advance
from shared.runs import Run, Runs


class NotFoundError(grpc.RpcError):
    """As the client raises it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.NOT_FOUND


class FinishedError(grpc.RpcError):
    """Of a job that is over."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "job already finished"


class FakePachyderm:
    """Transactions that make a job of their own id, as Pachyderm's do; also its client."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.jobs: list[str] = []
        self.stopped: list[str] = []
        self.before_finish: Callable[[], None] = lambda: None
        self.before_call: Callable[[], Awaitable[object]] | None = None

    async def call(self, work: Callable[[Any], Any]) -> Any:
        if (meanwhile := self.before_call) is not None:
            self.before_call = None
            await meanwhile()
        return work(self)

    def in_transaction(self, transaction: str) -> str:
        return transaction

    def start_transaction(self) -> SimpleNamespace:
        transaction = uuid.uuid4().hex
        self.open.add(transaction)
        return SimpleNamespace(id=transaction)

    def delete_transaction(self, transaction: str) -> None:
        if transaction not in self.open:
            raise NotFoundError
        self.open.remove(transaction)

    def finish_transaction(self, transaction: str) -> None:
        self.before_finish()
        self.delete_transaction(transaction)
        self.jobs.append(transaction)

    def stop_job(self, job: str, pipeline: str, *, reason: str, project_name: str) -> None:
        if job in self.stopped:
            raise FinishedError
        self.stopped.append(job)

    def inspect_pipeline(self, pipeline: str, *, project_name: str) -> list[object]:
        return [pipeline, project_name]

    def inspect_job(self, job: str, pipeline: str, *, project_name: str) -> list[object]:
        if job not in self.jobs:
            raise NotFoundError
        return [object()]


class Attempt:
    """One run whose build is to be launched, as often as the test likes."""

    def __init__(self, bus: Bus, runs: Runs, jobs: Jobs) -> None:
        self.bus, self.runs, self.jobs = bus, runs, jobs
        self.pachyderm = FakePachyderm()

    async def launch(self, run: Run | None = None) -> str:
        run = run or await self.runs.get("mnist", "01a")
        pachyderm = cast("Pachyderm", self.pachyderm)
        nothing = (lambda _: None, lambda _: None)
        return await launch(run, "build", "build", *nothing, pachyderm=pachyderm, runs=self.runs, jobs=self.jobs)

    async def kill(self) -> bool:
        """As the gateway does it: the record first."""
        run = await advance(self.bus, self.runs, "mnist", "01a", "killed")
        return await stop(run, "build", "killed", pachyderm=cast("Pachyderm", self.pachyderm), jobs=self.jobs)


@pytest.fixture
async def attempt(bus: Bus) -> Attempt:
    runs = await bus.runs()
    await runs.create(Run(workspace="mnist", id="01a", created=datetime.now(UTC), expected=("source",)))
    return Attempt(bus, runs, await bus.jobs())


async def test_the_jobs_id_is_known_before_the_job(attempt: Attempt) -> None:
    known: list[bool] = []
    attempt.pachyderm.before_finish = lambda: known.append(not attempt.pachyderm.jobs)
    job = await attempt.launch()
    assert (await attempt.runs.get("mnist", "01a")).build.job == job
    owned = await attempt.jobs.get("mnist", job)
    assert owned is not None
    assert (owned.runs, owned.launched, known) == (("01a",), True, [True])


async def test_a_redelivery_finds_the_job(attempt: Attempt) -> None:
    assert await attempt.launch() == await attempt.launch()
    assert len(attempt.pachyderm.jobs) == 1


async def test_a_death_before_the_transaction_ends_leaves_nothing_behind(attempt: Attempt) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    attempt.pachyderm.before_finish = die
    with pytest.raises(KeyboardInterrupt):
        await attempt.launch()
    attempt.pachyderm.before_finish = lambda: None
    job = await attempt.launch()
    assert attempt.pachyderm.jobs == [job]
    assert not attempt.pachyderm.open


async def test_a_death_after_it_is_made_up_for(attempt: Attempt) -> None:
    job = await attempt.launch()
    await attempt.jobs.update("mnist", job, lambda owned: setattr(owned, "launched", False))
    assert await attempt.launch() == job
    owned = await attempt.jobs.get("mnist", job)
    assert owned is not None
    assert owned.launched


async def test_a_slower_attempt_is_fenced_off(attempt: Attempt) -> None:
    """The first attempt is paused before it ends its transaction; a second takes over; the first goes on."""
    pachyderm = attempt.pachyderm

    def a_second_attempt_takes_over() -> None:
        pachyderm.open.clear()  # what its delete_transaction does

    pachyderm.before_finish = a_second_attempt_takes_over
    with pytest.raises(NotFoundError):
        await attempt.launch()
    pachyderm.before_finish = lambda: None
    job = await attempt.launch()
    assert pachyderm.jobs == [job]


async def test_of_two_attempts_at_once_the_later_gives_way(attempt: Attempt) -> None:
    before = await attempt.runs.get("mnist", "01a")
    job = await attempt.launch(before)
    with pytest.raises(Retry):
        await attempt.launch(before)
    assert attempt.pachyderm.jobs == [job]


async def test_a_run_killed_before_its_job_is_claimed_never_has_one(attempt: Attempt) -> None:
    run = await attempt.runs.get("mnist", "01a")
    assert not await attempt.kill()
    with pytest.raises(Reject) as over:
        await attempt.launch(run)
    assert over.value.code == "run.over"
    assert (attempt.pachyderm.jobs, attempt.pachyderm.open) == ([], set())
    assert (await attempt.runs.get("mnist", "01a")).state == "killed"


async def test_a_run_killed_between_the_claim_and_the_transaction_s_end_never_has_a_job(attempt: Attempt) -> None:
    pachyderm = attempt.pachyderm

    def kill_lands_here() -> None:
        # Synchronous: launch is in the call that ends the transaction. What kill does to Pachyderm is this.
        pachyderm.delete_transaction(next(iter(pachyderm.open)))

    pachyderm.before_finish = kill_lands_here
    with pytest.raises(NotFoundError):
        await attempt.launch()
    assert not await attempt.kill()
    assert pachyderm.jobs == pachyderm.stopped == []


async def test_a_kill_that_lands_at_any_call_of_launch_leaves_nothing_running(attempt: Attempt) -> None:
    """Before each of launch's calls to Pachyderm, in turn."""
    for number in range(3):
        name = f"01{number}"
        await attempt.runs.create(Run(workspace="mnist", id=name, created=datetime.now(UTC), expected=("source",)))
        await _killed_at_call(attempt, name, number)
        running = set(attempt.pachyderm.jobs) - set(attempt.pachyderm.stopped)
        assert (running, attempt.pachyderm.open) == (set(), set())


async def _killed_at_call(attempt: Attempt, name: str, number: int) -> None:
    pachyderm, left = attempt.pachyderm, number

    async def arrive() -> None:
        nonlocal left
        if left == 0:
            run = await advance(attempt.bus, attempt.runs, "mnist", name, "killed")
            await stop(run, "build", "killed", pachyderm=cast("Pachyderm", pachyderm), jobs=attempt.jobs)
        else:
            left -= 1
            pachyderm.before_call = arrive

    pachyderm.before_call = arrive
    with contextlib.suppress(Reject, NotFoundError):
        await attempt.launch(await attempt.runs.get("mnist", name))
    if pachyderm.before_call is not None:  # launch has made fewer calls: the kill comes after it
        pachyderm.before_call, left = None, 0
        await arrive()


async def test_a_launched_job_is_stopped_once_and_its_end_will_be_told(attempt: Attempt) -> None:
    job = await attempt.launch()
    # The launcher died before it said so.
    await attempt.jobs.update("mnist", job, lambda owned: setattr(owned, "launched", False))
    assert await attempt.kill()
    assert await attempt.kill()
    assert attempt.pachyderm.stopped == [job]
    owned = await attempt.jobs.get("mnist", job)
    assert owned is not None
    assert owned.launched
