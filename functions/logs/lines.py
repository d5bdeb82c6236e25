"""A job's output as numbered lines, the same numbers however often it is read; and how each trial ended."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2

from shared.events import JobStarted, LogLine
from shared.names import TRIAL_DIGITS
from shared.pachyderm import Pachyderm


class TrialEnd(BaseModel):
    """What the embedded engine says at the end of a datum, and Pachyderm's API has no field for.

    A cluster says no such thing: then a failed trial has no reason of its own, and costs are unknown.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    trial: str
    reason: str = ""
    cpu_seconds: float | None = None
    peak_bytes: int | None = None


async def read_job(job: JobStarted, *, pachyderm: Pachyderm, follow: bool) -> AsyncIterator[LogLine | TrialEnd]:
    """Every line that user code of the job wrote, oldest first; `follow` stays until the job is over.

    `run` of the lines is empty: a job may serve several. Raises grpc.RpcError.
    """
    pipeline = pps_pb2.Pipeline(name=job.pipeline, project=pfs_pb2.Project(name=job.workspace))
    request = pps_pb2.GetLogsRequest(job=pps_pb2.Job(id=job.job, pipeline=pipeline), follow=follow)
    # Pachyderm does not number lines. It keeps their order within a datum, so counting does.
    seen: Counter[str] = Counter()
    async for message in pachyderm.pps.GetLogs(request, metadata=pachyderm.metadata):
        trial = message.datum_id[:TRIAL_DIGITS]
        if not message.user:
            if (end := _trial_end(trial, message.message)) is not None:
                yield end
            continue
        yield LogLine(
            workspace=job.workspace,
            run="",
            stage=job.stage,
            job=job.job,
            trial=trial,
            seq=seen[trial],
            time=message.ts.ToDatetime(tzinfo=UTC),
            text=message.message.rstrip("\n"),
        )
        seen[trial] += 1


def _trial_end(trial: str, text: str) -> TrialEnd | None:
    if not text.startswith('{"datum":'):
        return None
    try:
        told: dict[str, Any] = json.loads(text)
        return TrialEnd(trial=trial, **told)
    except (ValueError, ValidationError, TypeError):
        return None
