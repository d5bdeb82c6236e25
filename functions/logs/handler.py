"""Woken by a job's start: passes its lines on live. Woken by its end: keeps its log, and ends the run."""

import asyncio
import tempfile
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from functions.logs.earlier import skipped_metrics
from functions.logs.lag import Lag
from functions.logs.lines import TrialEnd, read_job
from functions.logs.live import Live, event_of
from functions.logs.metrics import Metrics, Report
from functions.logs.reasons import failure, of_trials
from functions.logs.trials import read_trials
from shared.bucket import Bucket
from shared.bus import Bus
from shared.errors import NotFound, Retry
from shared.events import Event, JobFinished, JobOutcome, JobStarted, LogLine
from shared.function import function
from shared.jobs import Jobs
from shared.pachyderm import Pachyderm, details, is_code
from shared.progress import advance
from shared.runs import Failure, Run, Runs
from shared.settings import Settings
from shared.trials import Trial


@dataclass
class _Heard:
    """What a job's log tells of each trial: its last words, how it ended, the metrics that it reported."""

    last_words: dict[str, str] = field(default_factory=dict)
    ends: dict[str, TrialEnd] = field(default_factory=dict)
    metrics: dict[str, Metrics] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)

    def hear(self, report: Report) -> None:
        """Takes in what a trial reports; of its reports, the last is kept, with the step that is known by then."""
        self.metrics.setdefault(report.trial, Metrics(len(self.metrics))).add(report.metrics)
        earlier = self.reports.get(report.trial)
        step = earlier.step if earlier is not None and report.step is None else report.step
        self.reports[report.trial] = report.model_copy(update={"metrics": {}, "step": step})

    def of_job(self) -> str:
        """The last words of all."""
        return next(reversed(self.last_words.values()), "")


# A follower stays as long as its job, and costs an open stream while it waits.
@function(wakes_on=JobStarted, consumer="logs-follow", slots=128, vital=False)
async def follow(event: Event[JobStarted], *, pachyderm: Pachyderm, runs: Runs, bus: Bus) -> None:
    """Publishes the job's lines as they come, and what trials report; no more of it once they come too late.

    Repeated after a crash it begins anew: the ids drop what was told.
    """
    job = event.data
    live, lag = Live(job, pachyderm=pachyderm, runs=runs, bus=bus), Lag(job, pachyderm=pachyderm)
    await live.resume()
    telling = asyncio.create_task(live.tell())
    try:
        async with bus.in_turn() as publish, aclosing(read_job(job, pachyderm=pachyderm, follow=True)) as lines:
            async for told in lines:
                match told:
                    case LogLine() if await lag.is_hopeless(told.time):
                        break
                    case LogLine():
                        live.see(told.trial)
                        for run in job.runs:
                            await publish(told.model_copy(update={"run": run}))
                    case Report():
                        live.hear(told)
                    case TrialEnd():
                        live.end(told)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return  # the job was deleted
        raise Retry(f"the log stream broke: {details(error)}", after=timedelta(seconds=1)) from error
    finally:
        live.close()
        await telling


@function(wakes_on=JobFinished, consumer="logs-collect", slots=4)
async def collect(
    event: Event[JobFinished],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    jobs: Jobs,
    bus: Bus,
    bucket: Bucket,
    settings: Settings,
) -> None:
    """Stores the whole log in the object store, and only then ends the run: a finished run has its log."""
    job = event.data
    if not [run for run in job.runs if await _is_there(job.workspace, run, runs)]:
        return  # its workspace is gone, and with it whoever could read the log
    with tempfile.TemporaryDirectory(prefix="kaos-log-") as directory:
        path = Path(directory) / f"{job.stage}.ndjson"
        heard = await _write(job, path, pachyderm=pachyderm)
        keys = [f"{job.workspace}/{run}/{job.stage}.ndjson" for run in job.runs]
        uploads = [bucket.upload(settings.logs_bucket, key, path) for key in keys]
        endings = [_ending(job, run, heard, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus) for run in job.runs]
        # Each waits for another server. Both are whole before any run ends.
        found, _ = await asyncio.gather(asyncio.gather(*endings), asyncio.gather(*uploads))
    for run, ending in zip(job.runs, found, strict=True):
        await _end(job, run, ending, runs=runs, bus=bus)


async def _is_there(workspace: str, run: str, runs: Runs) -> bool:
    try:
        await runs.get(workspace, run)
    except NotFound:
        return False
    return True


async def _write(job: JobFinished, path: Path, *, pachyderm: Pachyderm) -> _Heard:
    heard = _Heard()
    with path.open("wb") as file:
        try:
            async for told in read_job(job, pachyderm=pachyderm, follow=False):
                if isinstance(told, TrialEnd):
                    # The first end is the training's own; then comes that of err_cmd, which knows no reason.
                    heard.ends.setdefault(told.trial, told)
                    continue
                if isinstance(told, Report):
                    heard.hear(told)
                    continue
                file.write(told.model_dump_json(exclude={"run", "workspace"}).encode() + b"\n")
                if told.text.strip():
                    heard.last_words.pop(told.trial, None)  # the last to speak stands last
                    heard.last_words[told.trial] = told.text.strip()
        except grpc.RpcError as error:
            raise Retry(f"the log can't be read: {details(error)}", after=timedelta(seconds=1)) from error
    return heard


@dataclass(frozen=True)
class _Ending:
    """How a job ended for one of its runs."""

    outcome: JobOutcome
    error: Failure | None
    trials: list[Trial]


async def _ending(
    job: JobFinished, run: str, heard: _Heard, *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus
) -> _Ending:
    if job.stage != "train":
        return _Ending(job.outcome, None if job.outcome == "succeeded" else failure(job, heard.of_job()), [])
    record = await runs.get(job.workspace, run)
    await _tell_rest(job, record, heard, bus)
    return _Ending(*await _training(job, record, heard, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus))


async def _end(job: JobFinished, run: str, ending: _Ending, *, runs: Runs, bus: Bus) -> None:
    """Notes how the job ended, and ends the run where nothing can follow."""
    outcome, error, trials = ending.outcome, ending.error, ending.trials

    def note_job(record: Run) -> None:
        stage = record.stage(job.stage)
        stage.state, stage.reason = job.outcome, job.reason
        stage.started, stage.finished = job.started, job.finished or datetime.now(UTC)
        stage.skipped = stage.skipped or (bool(trials) and all(trial.state == "skipped" for trial in trials))
        if trials:
            record.trial_count, record.trials_live = len(trials), False

    def note(record: Run) -> None:
        note_job(record)
        record.error = error or record.error

    kept = await bus.trials()
    await kept.keep(job.workspace, run, trials)
    if job.stage == "train" and outcome == "succeeded":
        await _remember(job.workspace, run, runs, bus)
    if job.stage != "train" and outcome == "succeeded":
        await runs.update(job.workspace, run, note_job)
        return
    ended = await advance(bus, runs, job.workspace, run, outcome, note)
    if ended.state == "killed" and ended.stage(job.stage).finished is None:
        # Killed by its user it was final before its job's end, which is noted all the same. It has no models.
        trials = [trial.model_copy(update={"model": ""}) for trial in trials]
        await kept.keep(job.workspace, run, trials)
        await runs.update(job.workspace, run, note_job)


async def _remember(workspace: str, run: str, runs: Runs, bus: Bus) -> None:
    """Notes what was trained, so that the same is not trained again; before the run is final, lest it is forgotten."""
    if known_by := (await runs.get(workspace, run)).fingerprint:
        await (await bus.trained()).note(workspace, known_by, run)


async def _tell_rest(job: JobFinished, run: Run, heard: _Heard, bus: Bus) -> None:
    """Tells the last report of each trial where the follower, who may be dead or behind, has not: before the end."""
    live = await (await bus.trials()).of(run) if heard.reports and run.trials_live else []
    told = {trial.id: trial.told for trial in live}
    for report in heard.reports.values():
        if report.seq > told.get(report.trial, -1):
            values = heard.metrics[report.trial].values
            await bus.publish(event_of(report.model_copy(update={"metrics": values}), job, run.id))


async def _training(
    job: JobFinished, run: Run, heard: _Heard, *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus
) -> tuple[JobOutcome, Failure | None, list[Trial]]:
    """The outcome of a train job for its run: it takes a model from every trial to succeed."""
    trials = await pachyderm.call(lambda client: read_trials(client, job.workspace, job.pipeline, job.job, run.inputs))
    skipped = [trial.datum for trial in trials if trial.state == "skipped"]
    earlier = await skipped_metrics(job, skipped, pachyderm=pachyderm, runs=runs, jobs=jobs, bus=bus)
    for number, trial in enumerate(trials):
        _add_reported(trial, Metrics(number), heard, earlier.get(trial.datum))
        if (end := heard.ends.get(trial.id)) is not None:
            trial.cpu_seconds, trial.peak_bytes = end.cpu_seconds, end.peak_bytes
            trial.reason = end.reason
        if job.outcome == "killed" and trial.state == "running":
            trial.state = "killed"
    if job.outcome != "succeeded":
        return job.outcome, failure(job, heard.of_job(), run.options), trials
    error = of_trials(trials, heard.last_words, run.options)
    return ("failed" if error else "succeeded"), error, trials


def _add_reported(trial: Trial, metrics: Metrics, heard: _Heard, earlier: Trial | None) -> None:
    """Adds the metrics that a trial has reported, now or when it was trained, to those of its files, which count."""
    metrics.add(trial.metrics)
    reported = heard.metrics.get(trial.id)
    for found in (reported.values if reported else {}, earlier.metrics if earlier else {}):
        metrics.add({name: value for name, value in found.items() if name not in metrics.values})
    omitted = (trial.omitted, metrics.omitted, reported and reported.omitted, earlier and earlier.omitted)
    trial.metrics, trial.omitted = metrics.values, any(omitted)
    trial.step = heard.reports[trial.id].step if reported else earlier.step if earlier else None
