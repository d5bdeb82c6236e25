"""A job's output as numbered lines, the same numbers however often it is read."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC

from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2

from shared.events import JobStarted, LogLine
from shared.pachyderm import Pachyderm

# A trial is named by as much of its datum's id as the model's id shows.
TRIAL_DIGITS = 6


async def read_lines(job: JobStarted, *, pachyderm: Pachyderm, follow: bool) -> AsyncIterator[LogLine]:
    """Every line that user code of the job wrote, oldest first; `follow` stays until the job is over.

    `run` of the lines is empty: a job may serve several. Raises grpc.RpcError.
    """
    pipeline = pps_pb2.Pipeline(name=job.pipeline, project=pfs_pb2.Project(name=job.workspace))
    request = pps_pb2.GetLogsRequest(job=pps_pb2.Job(id=job.job, pipeline=pipeline), follow=follow)
    # Pachyderm does not number lines. It keeps their order within a datum, so counting does.
    seen: Counter[str] = Counter()
    async for message in pachyderm.pps.GetLogs(request, metadata=pachyderm.metadata):
        if not message.user:
            continue
        trial = message.datum_id[:TRIAL_DIGITS]
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
