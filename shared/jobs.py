"""Which runs a Pachyderm job serves, in a NATS key-value bucket. A job's id is written here before the job exists."""

from collections.abc import AsyncGenerator, Callable

from nats.js.kv import KeyValue
from pydantic import BaseModel, ConfigDict

from shared.events import Stage
from shared.records import Records


class OwnedJob(BaseModel):
    """A job that kaos launched. `launched`: its transaction is finished; `told`: its end has been published."""

    model_config = ConfigDict(extra="ignore")
    workspace: str
    job: str
    pipeline: str
    stage: Stage
    runs: tuple[str, ...]
    launched: bool = False
    told: bool = False


class Jobs:
    """All launched jobs, in KV bucket `kaos-jobs` under `<workspace>.<job>`."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._records = Records(bucket, OwnedJob)

    async def claim(self, job: OwnedJob) -> None:
        """Notes the job before it exists; adds its runs where it is noted already. Raises Conflict."""

        def add(owned: OwnedJob) -> None:
            owned.runs = tuple(dict.fromkeys((*owned.runs, *job.runs)))

        if not await self._records.create(_key(job.workspace, job.job), job):
            await self._records.update(_key(job.workspace, job.job), add)

    async def update(self, workspace: str, job: str, change: Callable[[OwnedJob], None]) -> OwnedJob | None:
        """Applies `change` by compare-and-set; None where the job is unknown. Raises Conflict."""
        return await self._records.update(_key(workspace, job), change)

    async def get(self, workspace: str, job: str) -> OwnedJob | None:
        """The job, or None where kaos did not launch it."""
        return await self._records.get(_key(workspace, job))

    async def watch(self) -> AsyncGenerator[OwnedJob, None]:
        """Every job as it is now, then each change, until the connection is closed."""
        watcher = await self._bucket.watchall()
        try:
            async for entry in watcher:
                if entry is not None and entry.value:
                    yield OwnedJob.model_validate_json(entry.value)
        finally:
            await watcher.stop()


def _key(workspace: str, job: str) -> str:
    return f"{workspace}.{job}"
