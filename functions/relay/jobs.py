"""Tells of every job that kaos launched: that it exists, and how it ended."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from python_pachyderm.proto.v2.pps import pps_pb2

from shared.bus import Bus
from shared.cancellation import raise_if_cancelled
from shared.events import JobFinished, JobOutcome, JobStarted
from shared.jobs import Jobs, OwnedJob
from shared.pachyderm import Pachyderm, is_code, job_of

_OUTCOMES: Final[dict[int, JobOutcome]] = {
    pps_pb2.JobState.JOB_SUCCESS: "succeeded",
    pps_pb2.JobState.JOB_FAILURE: "failed",
    pps_pb2.JobState.JOB_UNRUNNABLE: "failed",
    pps_pb2.JobState.JOB_KILLED: "killed",
}
# A job that is claimed and not launched was claimed by a function that died (or is about to launch it): look again.
_UNLAUNCHED_SECONDS: Final = 1.0
# Waits for Pachyderm to come back after a restart; the embedded engine is back in under a second.
_RETRY_SECONDS: Final = 0.5


async def relay_jobs(*, bus: Bus, pachyderm: Pachyderm, jobs: Jobs) -> None:
    """Follows every launched job to its end, until cancelled.

    The launched jobs are those in the key-value bucket, which says so before a job exists. (SubscribeJob would tell
    of a job once, and never of one that ended while nobody listened.)
    """
    followed: dict[tuple[str, str], asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as followers:
        async for owned in jobs.watch():
            key = (owned.workspace, owned.job)
            if owned.told:
                followed.pop(key, None)
            elif owned.launched and key not in followed:
                followed[key] = followers.create_task(_follow(owned, bus=bus, pachyderm=pachyderm, jobs=jobs))


async def _follow(owned: OwnedJob, *, bus: Bus, pachyderm: Pachyderm, jobs: Jobs) -> None:
    info = await _inspect(owned, wait=False, pachyderm=pachyderm)
    if info is not None and info.state not in _OUTCOMES:
        # Waited for while its start is told: many jobs are over by then.
        ended = asyncio.create_task(_inspect(owned, wait=True, pachyderm=pachyderm))
        try:
            await bus.publish(JobStarted(**dict(owned), started=_time(info, "started")))
            info = await ended
        finally:
            ended.cancel()
    await bus.publish(
        JobFinished(
            **dict(owned),
            outcome=_OUTCOMES[info.state] if info is not None else "killed",
            reason=info.reason if info is not None else "The job was deleted in Pachyderm.",
            started=_time(info, "started"),
            finished=_time(info, "finished"),
        )
    )

    def tell(record: OwnedJob) -> None:
        record.told = True

    await jobs.update(owned.workspace, owned.job, tell)


async def _inspect(owned: OwnedJob, *, wait: bool, pachyderm: Pachyderm) -> Any | None:
    """The job's info, when it is over where `wait`; None where there is no such job. Outlives Pachyderm's restarts."""
    request = pps_pb2.InspectJobRequest(job=job_of(owned.workspace, owned.pipeline, owned.job), wait=wait)
    while True:
        try:
            return await pachyderm.pps.InspectJob(request, metadata=pachyderm.metadata)
        except grpc.RpcError as error:
            if is_code(error, grpc.StatusCode.NOT_FOUND):
                return None
            raise_if_cancelled()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await pachyderm.channel.channel_ready()
            await asyncio.sleep(_RETRY_SECONDS)


def _time(info: Any | None, name: str) -> datetime | None:
    if info is None or not info.HasField(name):
        return None
    moment: datetime = getattr(info, name).ToDatetime(tzinfo=UTC)
    return moment
