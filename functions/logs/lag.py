"""Notices a follower who is so far behind that following is no use: the job is over, and its log is kept whole."""

from datetime import UTC, datetime, timedelta
from typing import Final

from python_pachyderm.proto.v2.pps import pps_pb2

from shared.events import JobStarted
from shared.pachyderm import Pachyderm, job_of

# A line is told within a few milliseconds, and by the second nobody calls it live.
_LATE: Final = timedelta(seconds=1)


class Lag:
    """How far a follower of one job is behind. Pachyderm is asked about the job only of late lines, once a second."""

    def __init__(self, job: JobStarted, *, pachyderm: Pachyderm) -> None:
        self._job = job
        self._pachyderm = pachyderm
        self._asked = datetime.min.replace(tzinfo=UTC)

    async def is_hopeless(self, written: datetime) -> bool:
        """Whether the line that was written then comes too late, and so does all that follows.

        A program that prints faster than lines can be told (2,000 a second) would else hold up its own run's end: who
        keeps its log and who follows it share the processors. Raises grpc.RpcError.
        """
        now = datetime.now(UTC)
        if now - written < _LATE or now - self._asked < _LATE:
            return False
        self._asked = now
        job = job_of(self._job.workspace, self._job.pipeline, self._job.job)
        request = pps_pb2.InspectJobRequest(job=job)
        info = await self._pachyderm.pps.InspectJob(request, metadata=self._pachyderm.metadata)
        return bool(info.HasField("finished"))
