"""A job's output as numbered lines, the same numbers however often it is read; what trials report, how each ended."""

import json
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from python_pachyderm.proto.v2.pps import pps_pb2

from functions.logs import metrics
from functions.logs.metrics import Report
from shared.events import JobStarted, LogLine
from shared.names import TRIAL_DIGITS
from shared.pachyderm import Pachyderm, job_of


class TrialEnd(BaseModel):
    """What the embedded engine says at the end of a datum, and Pachyderm's API has no field for.

    A cluster says no such thing: then a failed trial has no reason of its own, and costs are unknown.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    trial: str
    datum: Literal["success", "failed", "recovered"]
    reason: str = ""
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None


async def read_job(
    job: JobStarted, *, pachyderm: Pachyderm, follow: bool
) -> AsyncGenerator[LogLine | Report | TrialEnd, None]:
    """Every line that user code of the job wrote, oldest first; `follow` stays until the job is over.

    After a line that reports metrics comes what it reports. `run` of the lines is empty: a job may serve several.
    Raises grpc.RpcError.
    """
    request = pps_pb2.GetLogsRequest(job=job_of(job.workspace, job.pipeline, job.job), follow=follow)
    # Pachyderm does not number lines. It keeps their order within a datum, so counting does.
    seen, reported = Counter[str](), Counter[str]()
    async for message in pachyderm.pps.GetLogs(request, metadata=pachyderm.metadata):
        trial = message.datum_id[:TRIAL_DIGITS]
        if message.user:
            yield _line(job, message, seen[trial])
            seen[trial] += 1
        elif (end := _trial_end(trial, message.message)) is not None:
            yield end
        if job.stage == "train" and (report := _report(trial, message, reported[trial])) is not None:
            yield report
            reported[trial] += 1


def _line(job: JobStarted, message: Any, seq: int) -> LogLine:
    return LogLine(
        workspace=job.workspace,
        run="",
        stage=job.stage,
        job=job.job,
        trial=message.datum_id[:TRIAL_DIGITS],
        seq=seq,
        time=message.ts.ToDatetime(tzinfo=UTC),
        text=message.message.rstrip("\n"),
    )


def _report(trial: str, message: Any, seq: int) -> Report | None:
    if not trial:
        return None
    step = None
    if message.user:
        found, step = metrics.of_line(message.message) or (None, None)
    else:
        found = metrics.of_engine(message.message)
    if not found:
        return None
    return Report(trial=trial, seq=seq, time=message.ts.ToDatetime(tzinfo=UTC), metrics=found, step=step)


def _trial_end(trial: str, text: str) -> TrialEnd | None:
    if not text.startswith('{"datum":'):
        return None
    try:
        told: dict[str, Any] = json.loads(text)
        return TrialEnd(trial=trial, **told)
    except (ValueError, ValidationError, TypeError):
        return None
