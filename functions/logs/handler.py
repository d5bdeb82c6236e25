"""Woken by a job's start: passes its lines on live. Woken by its end: keeps its log, and ends the run."""

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from functions.logs.lines import TrialEnd, read_job
from functions.logs.reasons import failure, of_trials
from functions.logs.trials import read_trials
from shared.bucket import Bucket
from shared.bus import Bus
from shared.errors import NotFound, Retry
from shared.events import Event, JobFinished, JobOutcome, JobStarted, LogLine
from shared.function import function
from shared.pachyderm import Pachyderm, details, is_code
from shared.progress import advance
from shared.runs import Failure, Run, Runs
from shared.settings import Settings
from shared.trials import Trial


@dataclass
class _Heard:
    """What a job's log tells of its end: for each trial, its last words and how it ended."""

    last_words: dict[str, str] = field(default_factory=dict)
    ends: dict[str, TrialEnd] = field(default_factory=dict)

    def of_job(self) -> str:
        """The last words of all."""
        return next(reversed(self.last_words.values()), "")


# A follower stays as long as its job, and costs an open stream while it waits.
@function(wakes_on=JobStarted, consumer="logs-follow", slots=128)
async def follow(event: Event[JobStarted], *, pachyderm: Pachyderm, bus: Bus) -> None:
    """Publishes the job's lines as they come. Repeated after a crash it begins anew: the ids drop what was told."""
    job = event.data
    try:
        async for told in read_job(job, pachyderm=pachyderm, follow=True):
            if isinstance(told, LogLine):
                for run in job.runs:
                    await bus.publish(told.model_copy(update={"run": run}))
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return  # the job was deleted
        raise Retry(f"the log stream broke: {details(error)}", after=timedelta(seconds=1)) from error


@function(wakes_on=JobFinished, consumer="logs-collect", slots=4)
async def collect(
    event: Event[JobFinished],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
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
        for run in job.runs:
            key = f"{job.workspace}/{run}/{job.stage}.ndjson"
            await bucket.upload(settings.logs_bucket, key, path)
    for run in job.runs:
        await _end(job, run, heard, pachyderm=pachyderm, runs=runs, bus=bus)


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
                file.write(told.model_dump_json(exclude={"run", "workspace"}).encode() + b"\n")
                if told.text.strip():
                    heard.last_words.pop(told.trial, None)  # the last to speak stands last
                    heard.last_words[told.trial] = told.text.strip()
        except grpc.RpcError as error:
            raise Retry(f"the log can't be read: {details(error)}", after=timedelta(seconds=1)) from error
    return heard


async def _end(job: JobFinished, run: str, heard: _Heard, *, pachyderm: Pachyderm, runs: Runs, bus: Bus) -> None:
    """Notes how the job ended, and ends the run where nothing can follow."""
    if job.stage == "train":
        outcome, error, trials = await _training(job, await runs.get(job.workspace, run), heard, pachyderm=pachyderm)
    else:
        outcome, error, trials = job.outcome, None, []
        if job.outcome != "succeeded":
            error = failure(job, heard.of_job())

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
        trials = [trial.model_copy(update={"model": "", "metrics": {}}) for trial in trials]
        await kept.keep(job.workspace, run, trials)
        await runs.update(job.workspace, run, note_job)


async def _remember(workspace: str, run: str, runs: Runs, bus: Bus) -> None:
    """Notes what was trained, so that the same is not trained again; before the run is final, lest it is forgotten."""
    if known_by := (await runs.get(workspace, run)).fingerprint:
        await (await bus.trained()).note(workspace, known_by, run)


async def _training(
    job: JobFinished, run: Run, heard: _Heard, *, pachyderm: Pachyderm
) -> tuple[JobOutcome, Failure | None, list[Trial]]:
    """The outcome of a train job for its run: it takes a model from every trial to succeed."""
    trials = await pachyderm.call(lambda client: read_trials(client, job.workspace, job.pipeline, job.job, run.inputs))
    for trial in trials:
        if (end := heard.ends.get(trial.id)) is not None:
            trial.cpu_seconds, trial.peak_bytes = end.cpu_seconds, end.peak_bytes
            trial.reason = end.reason
        if job.outcome == "killed" and trial.state == "running":
            trial.state = "killed"
    if job.outcome != "succeeded":
        return job.outcome, failure(job, heard.of_job()), trials
    error = of_trials(trials, heard.last_words)
    return ("failed" if error else "succeeded"), error, trials
