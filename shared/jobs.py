"""Which runs a Pachyderm job serves, in a NATS key-value bucket. A job's id is written here before the job exists."""

from collections.abc import AsyncGenerator, Callable
from typing import Final

from nats.js.errors import KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue
from pydantic import BaseModel, ConfigDict

from shared.errors import Conflict
from shared.events import Stage

_ATTEMPTS: Final = 20


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

    async def claim(self, job: OwnedJob) -> None:
        """Notes the job before it exists; adds its runs where it is noted already."""

        def add(owned: OwnedJob) -> None:
            owned.runs = tuple(dict.fromkeys((*owned.runs, *job.runs)))

        for _ in range(_ATTEMPTS):
            if await self.update(job.workspace, job.job, add):
                return
            try:
                await self._bucket.create(_key(job.workspace, job.job), job.model_dump_json().encode())
            except KeyWrongLastSequenceError:
                continue
            return
        raise _contended(job.workspace, job.job)

    async def update(self, workspace: str, job: str, change: Callable[[OwnedJob], None]) -> OwnedJob | None:
        """Applies `change` by compare-and-set; None where the job is unknown. Raises Conflict after many losses."""
        for _ in range(_ATTEMPTS):
            try:
                entry = await self._bucket.get(_key(workspace, job))
            except (KeyNotFoundError, KeyDeletedError):
                return None
            if not entry.value:
                return None
            owned = OwnedJob.model_validate_json(entry.value)
            before = owned.model_dump_json()
            change(owned)
            after = owned.model_dump_json()
            if before == after:
                return owned
            try:
                await self._bucket.update(_key(workspace, job), after.encode(), last=entry.revision)
            except KeyWrongLastSequenceError:
                continue
            return owned
        raise _contended(workspace, job)

    async def get(self, workspace: str, job: str) -> OwnedJob | None:
        """The job, or None where kaos did not launch it."""
        return await self.update(workspace, job, lambda _: None)

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


def _contended(workspace: str, job: str) -> Conflict:
    return Conflict("job.contended", f"Job {job} of workspace {workspace} is being claimed by too many at once.")
