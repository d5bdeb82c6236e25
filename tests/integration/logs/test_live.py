"""What trials report is told while they run, once each, whatever becomes of the follower; and all of it at the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc
from python_pachyderm.proto.v2.pps import pps_pb2, pps_pb2_grpc

import shared.pachyderm
from functions.logs.handler import collect, follow
from shared.bucket import Bucket
from shared.bus import Bus
from shared.events import JobFinished, JobStarted, new_event
from shared.pachyderm import Pachyderm
from shared.runs import Run, Runs
from shared.settings import Settings
from shared.trials import Trial

RUN = "01jd0000000000000000000000"
TRIAL, OTHER = "a" * 10, "b" * 10


@dataclass
class Pachd(pps_pb2_grpc.APIServicer, pfs_pb2_grpc.APIServicer):  # type: ignore[misc]
    """A job whose lines a test writes, and which goes on until the test ends it."""

    lines: list[Any] = field(default_factory=list)
    over: bool = False
    finished: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""

    def say(self, text: str, trial: str = TRIAL, *, user: bool = True, ago: float = 0) -> None:
        message = pps_pb2.LogMessage(datum_id=trial.ljust(64, "0"), user=user, message=text)
        message.ts.FromDatetime(datetime.now(UTC) - timedelta(seconds=ago))
        self.lines.append(message)
        self.news.set()

    def report(self, trial: str = TRIAL, **metrics: Any) -> None:
        self.say(json.dumps({"kaos": metrics}), trial)

    def end(self) -> None:
        self.over = True
        self.news.set()

    async def GetLogs(self, request: Any, _: Any) -> AsyncIterator[Any]:  # noqa: N802
        told = 0
        while True:
            self.news.clear()
            while told < len(self.lines):
                yield self.lines[told]
                told += 1
            if self.over or not request.follow:
                return
            await self.news.wait()

    async def InspectJob(self, _: Any, __: Any) -> Any:  # noqa: N802
        info = pps_pb2.JobInfo()
        if self.finished:
            info.finished.GetCurrentTime()
        return info

    async def ListDatum(self, _: Any, __: Any) -> AsyncIterator[Any]:  # noqa: N802
        for trial in sorted({message.datum_id for message in self.lines}):
            yield pps_pb2.DatumInfo(datum=pps_pb2.Datum(id=trial), state=pps_pb2.DatumState.SUCCESS)

    async def ListFile(self, _: Any, __: Any) -> AsyncIterator[Any]:  # noqa: N802
        for trial in sorted({message.datum_id[:10] for message in self.lines}):
            yield pfs_pb2.FileInfo(file=pfs_pb2.File(path=f"/{trial}/"), file_type=pfs_pb2.FileType.DIR)

    async def GlobFile(self, _: Any, __: Any) -> AsyncIterator[Any]:  # noqa: N802
        """No files of metrics."""
        for nothing in ():
            yield nothing


@pytest.fixture
async def pachd() -> AsyncIterator[Pachd]:
    served, server = Pachd(), grpc.aio.server()
    served.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    pps_pb2_grpc.add_APIServicer_to_server(served, server)
    pfs_pb2_grpc.add_APIServicer_to_server(served, server)
    await server.start()
    yield served
    served.end()
    await server.stop(grace=None)


@pytest.fixture
async def pachyderm(pachd: Pachd) -> AsyncIterator[Pachyderm]:
    connected = shared.pachyderm.connect(Settings(pachyderm_address=pachd.address))
    yield connected
    await connected.close()


@dataclass
class World:
    """A run in training, and its job's functions."""

    pachyderm: Pachyderm
    bus: Bus
    runs: Runs

    def follow(self, stage: str = "train") -> "asyncio.Task[None]":
        event = new_event(JobStarted(**{**JOB, "stage": stage}), source="relay")
        return asyncio.create_task(follow(event, pachyderm=self.pachyderm, runs=self.runs, bus=self.bus))

    async def collect(self, bucket: Bucket, settings: Settings) -> None:
        event = new_event(JobFinished(**JOB, outcome="succeeded"), source="relay")
        connected = {"runs": self.runs, "jobs": await self.bus.jobs(), "bus": self.bus, "pachyderm": self.pachyderm}
        await collect(event, **connected, bucket=bucket, settings=settings)

    async def record(self) -> Run:
        return await self.runs.get("mnist", RUN)

    async def trials(self) -> list[Trial]:
        return await (await self.bus.trials()).of(await self.record())

    async def events(self) -> list[Any]:
        """The data of all events of metrics."""
        info = await self.bus.stream.stream_info("kaos-metrics")
        messages = [
            await self.bus.stream.get_msg("kaos-metrics", number)
            for number in range(info.state.first_seq, info.state.last_seq + 1)
        ]
        return [json.loads(message.data or b"")["data"] for message in messages]

    async def lines(self, count: int) -> list[str]:
        """The first lines that were told, once there are so many."""
        told = await self.bus.stream.subscribe("kaos.*.log.>", ordered_consumer=True)
        try:
            return [json.loads((await told.next_msg(timeout=10)).data)["data"]["text"] for _ in range(count)]
        finally:
            await told.unsubscribe()

    async def until(self, condition: Callable[[list[Trial]], bool]) -> list[Trial]:
        """The trials of the record, once they are so: asked again whenever the record's bucket has changed."""
        changes = await self.bus.client.subscribe("$KV.>")
        try:
            async with asyncio.timeout(10):
                while not condition(found := await self.trials()):
                    await changes.next_msg(timeout=10)
        finally:
            await changes.unsubscribe()
        return found


JOB: dict[str, Any] = {"workspace": "mnist", "stage": "train", "pipeline": "train-1", "job": "j", "runs": (RUN,)}


@pytest.fixture
async def world(bus: Bus, pachyderm: Pachyderm) -> World:
    made = World(pachyderm, bus, await bus.runs())
    run = Run(workspace="mnist", id=RUN, created=datetime.now(UTC), expected=("source",), state="training")
    await made.runs.create(run)
    return made


async def test_reports_are_told_at_once_and_shown_in_the_record(world: World, pachd: Pachd) -> None:
    following = world.follow()
    pachd.report(loss=0.5, step=1)
    [trial] = await world.until(bool)
    assert (trial.id, trial.state, trial.metrics, trial.step) == (TRIAL, "running", {"loss": 0.5}, 1)
    pachd.say('{"metrics": {"accuracy": 0.9}}', user=False)
    pachd.report(OTHER, loss=7)
    await world.until(lambda trials: len(trials) == 2 and "accuracy" in trials[0].metrics)
    pachd.say(
        '{"datum": "failed", "reason": "exit code 1", "seconds": 2, "cpu_seconds": 1, "peak_bytes": 5}', user=False
    )
    pachd.end()
    await following
    [trial, other] = await world.trials()
    assert (trial.state, trial.reason, trial.seconds, trial.peak_bytes) == ("failed", "exit code 1", 2, 5)
    assert (trial.metrics, other.metrics) == ({"loss": 0.5, "accuracy": 0.9}, {"loss": 7})
    assert [(data["trial"], data["seq"], data["metrics"]) for data in await world.events()] == [
        (TRIAL, 0, {"loss": 0.5}),
        (TRIAL, 1, {"accuracy": 0.9}),
        (OTHER, 0, {"loss": 7}),
    ]


async def test_a_follower_that_begins_anew_repeats_nothing(world: World, pachd: Pachd) -> None:
    following = world.follow()
    pachd.report(loss=3)
    pachd.report(loss=2)
    await world.until(lambda trials: bool(trials) and trials[0].told == 1)
    following.cancel()
    await asyncio.wait({following})
    # As if more time had passed than NATS remembers ids.
    told = await world.events()
    await world.bus.stream.purge_stream("kaos-metrics")
    again = world.follow()
    pachd.report(loss=1)
    pachd.end()
    await again
    assert [data["seq"] for data in told] == [0, 1]
    assert [(data["seq"], data["metrics"]) for data in await world.events()] == [(2, {"loss": 1})]
    [trial] = await world.trials()
    assert trial.metrics == {"loss": 1}


async def test_a_flood_becomes_few_events_and_the_last_values(world: World, pachd: Pachd) -> None:
    for number in range(3_000):
        pachd.report(TRIAL if number % 2 else OTHER, **{"loss": number, f"name-{number % 1500}": number})
    pachd.end()
    await world.follow()
    events = await world.events()
    assert len(events) < 400
    last = {data["trial"]: data for data in events}
    assert (last[TRIAL]["seq"], last[TRIAL]["metrics"]["loss"]) == (1499, 2999)
    assert (last[OTHER]["seq"], last[OTHER]["metrics"]["loss"]) == (1499, 2998)
    # What was left out of one event is in the next: told together they are all that was reported.
    told: dict[str, Any] = {}
    for data in events:
        told |= data["metrics"] if data["trial"] == TRIAL else {}
    assert told["name-1"] == 1501


async def test_the_end_tells_what_no_follower_has(
    world: World, pachd: Pachd, bucket: Bucket, store_settings: Settings
) -> None:
    following = world.follow()
    pachd.report(loss=3, step=1)
    await world.until(bool)
    following.cancel()
    await asyncio.wait({following})
    pachd.report(loss=2, step=2)
    pachd.report(OTHER, loss=1)
    pachd.end()
    bucket.client.create_bucket(Bucket=store_settings.inbox_bucket + "-logs")
    settings = store_settings.model_copy(update={"logs_bucket": store_settings.inbox_bucket + "-logs"})
    await world.collect(bucket, settings)
    assert [(data["trial"], data["seq"]) for data in await world.events()] == [(TRIAL, 0), (TRIAL, 1), (OTHER, 0)]
    record, trials = await world.record(), await world.trials()
    assert (record.state, record.trial_count, record.trials_live) == ("succeeded", 2, False)
    assert [(trial.metrics, trial.step) for trial in trials] == [({"loss": 2}, 2), ({"loss": 1}, None)]
    # Who comes too late changes nothing any more.
    await world.follow()
    assert await world.trials() == trials
    assert len(await world.events()) == 3


async def test_trials_that_report_nothing_are_shown_too(world: World, pachd: Pachd) -> None:
    following = world.follow()
    pachd.say("epoch 1")
    pachd.say('{"datum": "success", "seconds": 2}', OTHER, user=False)
    running, ended = await world.until(lambda trials: len(trials) == 2)
    assert (running.id, running.state, ended.id, ended.state) == (TRIAL, "running", OTHER, "succeeded")
    assert (await world.record()).trials_live
    pachd.end()
    await following
    assert (await world.bus.stream.stream_info("kaos-metrics")).state.messages == 0


async def test_what_comes_too_late_is_told_only_while_the_job_goes_on(world: World, pachd: Pachd) -> None:
    following = world.follow()
    pachd.say("late", ago=5)
    pachd.say("in time")
    await world.lines(2)
    # As if it had been over all the time; its log never ends, which a follower who goes on would wait for.
    following.cancel()
    await asyncio.wait({following})
    pachd.finished = True
    await asyncio.wait_for(world.follow(), 10)
    assert await world.lines(2) == ["late", "in time"]


async def test_builds_have_no_trials(world: World, pachd: Pachd) -> None:
    before = await world.record()
    following = world.follow("build")
    pachd.say("step 1")
    pachd.say('{"datum": "success", "seconds": 2}', user=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(following), 1.5)  # longer than trials would take to be shown
    pachd.end()
    await following
    assert await world.record() == before


async def test_a_short_job_that_reports_nothing_changes_no_record(world: World, pachd: Pachd) -> None:
    before = await world.record()
    pachd.say("epoch 1")
    pachd.end()
    await world.follow()
    assert await world.record() == before
