"""Woken by a job's start: passes its lines on live. Woken by its end: keeps its log, and ends the run."""

import tempfile
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import grpc

from functions.logs.lines import read_lines
from functions.logs.reasons import failure
from functions.logs.trials import DONE, read_trials
from shared.bucket import Bucket
from shared.bus import Bus
from shared.errors import Retry
from shared.events import Event, JobFinished, JobOutcome, JobStarted
from shared.function import function
from shared.pachyderm import Pachyderm, details
from shared.progress import advance
from shared.runs import Failure, Run, Runs, Trial
from shared.settings import Settings

_NOTHING_WRITTEN: Final = Failure(
    code="train.no-output",
    message="train ended well but wrote nothing: it must write its model into the directory that argument 1 names.",
)
# How many of the last lines may explain a failure.
_TAIL: Final = 20


# A follower stays as long as its job, and costs an open stream while it waits.
@function(wakes_on=JobStarted, consumer="logs-follow", slots=128)
async def follow(event: Event[JobStarted], *, pachyderm: Pachyderm, bus: Bus) -> None:
    """Publishes the job's lines as they come. Repeated after a crash it begins anew: the ids drop what was told."""
    job = event.data
    try:
        async for line in read_lines(job, pachyderm=pachyderm, follow=True):
            for run in job.runs:
                await bus.publish(line.model_copy(update={"run": run}))
    except grpc.RpcError as error:
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
    tail: deque[str] = deque(maxlen=_TAIL)
    with tempfile.TemporaryDirectory(prefix="kaos-log-") as directory:
        path = Path(directory) / f"{job.stage}.ndjson"
        await _write(job, path, tail, pachyderm=pachyderm)
        for run in job.runs:
            key = f"{job.workspace}/{run}/{job.stage}.ndjson"
            await bucket.upload(settings.logs_bucket, key, path)
    for run in job.runs:
        await _end(job, run, list(tail), pachyderm=pachyderm, runs=runs, bus=bus)


async def _write(job: JobFinished, path: Path, tail: deque[str], *, pachyderm: Pachyderm) -> None:
    with path.open("wb") as file:
        try:
            async for line in read_lines(job, pachyderm=pachyderm, follow=False):
                file.write(line.model_dump_json(exclude={"run", "workspace"}).encode() + b"\n")
                tail.append(line.text)
        except grpc.RpcError as error:
            raise Retry(f"the log can't be read: {details(error)}", after=timedelta(seconds=1)) from error


async def _end(job: JobFinished, run: str, tail: list[str], *, pachyderm: Pachyderm, runs: Runs, bus: Bus) -> None:
    """Notes how the job ended, and ends the run where nothing can follow."""
    if job.stage == "train":
        outcome, error, trials = await _training(job, await runs.get(job.workspace, run), tail, pachyderm=pachyderm)
    else:
        outcome, error, trials = job.outcome, None if job.outcome == "succeeded" else failure(job, tail), []

    def note(record: Run) -> None:
        stage = record.stage(job.stage)
        stage.state, stage.reason = job.outcome, job.reason
        stage.finished = stage.finished or datetime.now(UTC)
        stage.skipped = bool(trials) and all(trial.state == "skipped" for trial in trials)
        record.trials = trials or record.trials
        record.error = error

    if job.stage != "train" and outcome == "succeeded":
        await runs.update(job.workspace, run, note)
    else:
        await advance(bus, runs, job.workspace, run, outcome, note)


async def _training(
    job: JobFinished, run: Run, tail: list[str], *, pachyderm: Pachyderm
) -> tuple[JobOutcome, Failure | None, list[Trial]]:
    """The outcome of a train job for its run: it takes a model from every trial to succeed."""
    trials = await pachyderm.call(lambda client: read_trials(client, job.workspace, job.pipeline, job.job, run.inputs))
    if job.outcome == "killed":
        return "killed", Failure(code="train.killed", message=f"The training was stopped: {job.reason}."), trials
    if job.outcome == "failed":
        return "failed", failure(job, tail), trials
    good = [trial for trial in trials if trial.model]
    if len(good) == len(trials) and trials:
        return "succeeded", None, trials
    if any(trial.state in DONE and not trial.model for trial in trials):
        return "failed", _NOTHING_WRITTEN, trials
    return (
        "failed",
        Failure(code="train.trials", message=f"{len(good)} of {len(trials)} trials succeeded."),
        trials,
    )
