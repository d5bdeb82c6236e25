"""Tells of trials while their job goes on: what they report as events, and all of it in the run's record.

At most a hundred events a second (or one for each trial) and one change of the record, whatever the training prints;
the newest values are always told. What was told is in the record, so that a follower that begins anew repeats nothing.
Trials that only begin and end are in the record within a second; of a job that is over by then, its end tells.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Final

import grpc
import structlog
from nats.errors import Error as NatsError

from functions.logs.lines import TrialEnd
from functions.logs.metrics import Metrics, Report
from functions.logs.trials import read_params
from shared.bus import Bus
from shared.errors import Conflict, NotFound
from shared.events import JobStarted, MetricsReported
from shared.pachyderm import Pachyderm
from shared.runs import Run, Runs
from shared.trials import Trial

_INTERVAL_SECONDS: Final = 1.0
_EVENTS: Final = 100
_STATES: Final = {"success": "succeeded", "failed": "failed", "recovered": "failed"}

log = structlog.get_logger()


class Live:
    """What is known of the trials of one job: `see`, `hear` and `end` take it in, `tell` passes it on.

    Jobs of other stages than `train` have no trials.
    """

    def __init__(self, job: JobStarted, *, pachyderm: Pachyderm, runs: Runs, bus: Bus) -> None:
        self._job = job
        self._pachyderm = pachyderm
        self._runs = runs
        self._bus = bus
        self._trials: list[Trial] = []
        self._metrics: list[Metrics] = []
        self._places: dict[str, int] = {}
        self._reports: deque[Report] = deque()
        self._changed: set[int] = set()
        self._quiet: set[int] = set()
        self._later: asyncio.TimerHandle | None = None
        self._told: dict[str, int] = {}
        self._counted = 0
        self._params: dict[str, dict[str, object]] | None = None
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    async def resume(self) -> None:
        """Reads how far an earlier follower of the job came."""
        store = await self._bus.trials()
        for name in self._job.runs if self._job.stage == "train" else ():
            with contextlib.suppress(NotFound):
                run = await self._runs.get(self._job.workspace, name)
                if run.trials_live:
                    self._told |= {trial.id: trial.told for trial in await store.of(run)}

    def see(self, trial: str) -> None:
        """Takes in that a trial runs."""
        if self._job.stage == "train" and trial and trial not in self._places:
            self._note_quietly(self._place(trial))

    def hear(self, report: Report) -> None:
        """Takes in what a trial reports."""
        place = self._place(report.trial)
        trial, metrics = self._trials[place], self._metrics[place]
        metrics.add(report.metrics)
        trial.metrics, trial.omitted = metrics.values, metrics.omitted
        trial.step = trial.step if report.step is None else report.step
        if report.seq > trial.told:
            self._reports.append(report)
            if len(self._reports) > _EVENTS + 2 * len(self._trials):
                self._reports = deque(newest(self._reports))
        self._note(place)

    def end(self, end: TrialEnd) -> None:
        """Takes in how a trial ended: the first end is the training's own, then comes that of err_cmd."""
        if self._job.stage != "train":
            return
        trial = self._trials[place := self._place(end.trial)]
        if trial.state == "running":
            trial.state, trial.reason = _STATES[end.datum], end.reason
            trial.seconds, trial.cpu_seconds, trial.peak_bytes = end.seconds, end.cpu_seconds, end.peak_bytes
            note = self._note if trial.metrics else self._note_quietly
            note(place)

    def close(self) -> None:
        """Nothing more will come: `tell` tells the rest, and returns."""
        if self._later is not None:
            self._later.cancel()
        self._over.set()
        self._news.set()

    async def tell(self) -> None:
        """Tells what has come, at once and then once a second. While NATS is away it waits; the job's end tells all."""
        while not self._over.is_set():
            await self._news.wait()
            self._news.clear()
            if not self._over.is_set():
                await self._tell()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), _INTERVAL_SECONDS)
        if self._reports or self._changed:
            await self._tell()

    def _place(self, trial: str) -> int:
        """Where the trial is in the list: at its end where it was not heard of before."""
        if trial not in self._places:
            self._places[trial] = len(self._trials)
            self._metrics.append(Metrics(len(self._trials)))
            self._trials.append(Trial(id=trial, state="running", told=self._told.get(trial, -1)))
        return self._places[trial]

    def _note(self, place: int) -> None:
        self._changed.add(place)
        self._news.set()

    def _note_quietly(self, place: int) -> None:
        """Notes what can wait: a second is soon enough to see a trial end, and many jobs are over by then."""
        self._quiet.add(place)
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(_INTERVAL_SECONDS, self._ring)

    def _ring(self) -> None:
        self._later = None
        self._news.set()

    async def _tell(self) -> None:
        reports, changed, trials = [*self._reports], self._changed | self._quiet, [*self._trials]
        self._reports, self._changed, self._quiet = deque(), set(), set()
        try:
            if await self._is_told():
                return
            await self._publish(reports if len(reports) <= _EVENTS else newest(reports))
            if changed:
                await self._record(trials, changed)
        except (NatsError, TimeoutError, Conflict) as error:
            log.warning("metrics.not-told", job=self._job.job, error=repr(error))
            self._reports.extendleft(reversed(reports))
            self._changed |= changed
            self._news.set()
        except NotFound:
            pass  # the workspace is gone, and with it whoever could ask

    async def _is_told(self) -> bool:
        """Whether the job's end has been told, and with it all that a follower who is late could tell."""
        records = [await self._runs.get(self._job.workspace, name) for name in self._job.runs]
        return all(record.trial_count and not record.trials_live for record in records)

    async def _publish(self, reports: Iterable[Report]) -> None:
        for report in reports:
            trial = self._trials[self._places[report.trial]]
            if report.seq <= trial.told:
                continue
            for run in self._job.runs:
                await self._bus.publish(event_of(report, self._job, run))
            trial.told = report.seq

    async def _record(self, trials: list[Trial], changed: set[int]) -> None:
        store = await self._bus.trials()

        def count(record: Run) -> None:
            if record.trials_live or not record.trial_count:  # else it has those of the job's end
                record.trial_count, record.trials_live = len(trials), True

        for name in self._job.runs:
            await self._add_params(name, trials[self._counted :])
            await store.keep_live(self._job.workspace, name, trials, changed)
            if len(trials) != self._counted:
                await self._runs.update(self._job.workspace, name, count)
        self._counted = len(trials)

    async def _add_params(self, name: str, trials: Iterable[Trial]) -> None:
        """Tells which combination a trial has. Asked for once: a grid has thousands."""
        if self._params is None:
            self._params = {}
            run, job = await self._runs.get(self._job.workspace, name), self._job
            if run.inputs.params:
                with contextlib.suppress(grpc.RpcError, ConnectionError):  # it can do without
                    self._params = await self._pachyderm.call(
                        lambda client: read_params(client, job.workspace, job.pipeline, job.job)
                    )
        for trial in trials:
            trial.params = self._params.get(trial.id, {})


def newest(reports: Iterable[Report]) -> list[Report]:
    """One report for each trial: its last one, with the newest value of each metric of those before it."""
    found: dict[str, Report] = {}
    for report in reports:
        earlier = found.pop(report.trial, None)
        if earlier is not None:
            step = earlier.step if report.step is None else report.step
            report = report.model_copy(update={"metrics": {**earlier.metrics, **report.metrics}, "step": step})  # noqa: PLW2901
        found[report.trial] = report
    return [*found.values()]


def event_of(report: Report, job: JobStarted, run: str) -> MetricsReported:
    """The event that tells a run of a report."""
    return MetricsReported(workspace=job.workspace, run=run, job=job.job, **dict(report))
