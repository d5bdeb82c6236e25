"""The run record: one submission followed through all stages, kept in a NATS key-value bucket.

The record is a projection of what Pachyderm and the bucket know. It changes only by compare-and-set, and its state
only moves forward, so an event that comes twice, late or out of order finds nothing left to do.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Final

from nats.js.kv import KeyValue
from pydantic import BaseModel, ConfigDict, Field

from shared.entries import entries
from shared.errors import NotFound
from shared.events import RunState, Stage
from shared.names import PartKind
from shared.records import Records

ORDER: Final[dict[RunState, int]] = {
    "received": 0,
    "ingesting": 1,
    "building": 2,
    "waiting": 3,
    "training": 4,
    "succeeded": 5,
    "failed": 5,
    "killed": 5,
    "rejected": 5,
}
FINAL: Final[frozenset[RunState]] = frozenset({"succeeded", "failed", "killed", "rejected"})
# As many as a screen shows; each is a request of its own.
_PAGE: Final = 64


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", validate_assignment=False)


class Part(_Record):
    """One bundle of a submission. `commit` is empty until it is finished in Pachyderm."""

    kind: PartKind
    name: str = ""
    key: str = ""
    size: int = 0
    bundle: str = ""  # <name>:<hash7>
    commit: str = ""
    known: bool = False  # Pachyderm had this content already
    attempt: str = ""  # the commit that ingest wrote last: noted here before it can be finished


class JobRecord(_Record):
    """A stage's job in Pachyderm; `job` is recorded before the transaction that makes it is finished."""

    job: str = ""
    pipeline: str = ""
    state: str = ""  # "", "running", "succeeded", "failed", "killed"
    started: datetime | None = None
    finished: datetime | None = None
    skipped: bool = False  # every datum had been processed before
    reason: str = ""


class Options(_Record):
    """What the user asked of the machine for each trial; None and 0 mean: no limit."""

    parallelism: int | None = Field(default=None, ge=1)
    cpu: float | None = Field(default=None, gt=0)
    memory: str | None = None
    gpu: int | None = Field(default=None, ge=0)


class Inputs(_Record):
    """The bundle ids that the training used."""

    source: str = ""
    data: str = ""
    params: str = ""
    image: str = ""


class Failure(_Record):
    """Why a run did not succeed: a stable code and a sentence."""

    code: str
    message: str


class Run(_Record):
    """One submission. `times` maps each state entered, and a few moments between, to when."""

    workspace: str
    id: str
    state: RunState = "received"
    created: datetime
    expected: tuple[PartKind, ...]
    parts: dict[PartKind, Part] = {}
    options: Options = Options()
    author: str = ""  # who submitted it, by their own account
    force: bool = False  # train again what has been trained before
    retry_of: str = ""  # the run whose failed trials, or failed build, this one does again
    fingerprint: str = ""  # of what it trains: see shared.trainings
    same_as: str = ""  # the earlier run that trained the same; then there is no job, and the models are that run's
    inputs: Inputs = Inputs()
    build: JobRecord = JobRecord()
    fetch: JobRecord = JobRecord()
    train: JobRecord = JobRecord()
    trial_count: int = 0  # the trials themselves are apart: see shared.trials
    trials_live: bool = False  # they are what was heard of them while the job goes on
    error: Failure | None = None
    times: dict[str, datetime] = {}

    def stage(self, stage: Stage) -> JobRecord:
        """The record of that stage's job."""
        return {"build": self.build, "fetch": self.fetch, "train": self.train}[stage]

    def set_stage(self, stage: Stage, job: JobRecord) -> None:
        """Replaces the record of that stage's job."""
        match stage:
            case "build":
                self.build = job
            case "fetch":
                self.fetch = job
            case "train":
                self.train = job

    def commit_part(self, kind: PartKind, commit: str, bundle: str) -> None:
        """Notes that a part is committed: whichever of ingest and the commit's event comes first."""
        part = self.parts.get(kind) or Part(kind=kind)
        self.parts[kind] = part.model_copy(update={"commit": commit, "bundle": bundle})

    def complete(self) -> bool:
        """Whether every part of the submission is committed."""
        return all(kind in self.parts and self.parts[kind].commit for kind in self.expected)

    def advance(self, state: RunState) -> bool:
        """Moves forward to `state`, noting the time; False where the run is there or further already."""
        if ORDER[state] <= ORDER[self.state]:
            return False
        self.state = state
        self.times[state] = datetime.now(UTC)
        return True


class Runs:
    """The run records of all workspaces, in KV bucket `kaos-runs` under `<workspace>.<run>`."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._records = Records(bucket, Run)

    async def get(self, workspace: str, run: str) -> Run:
        """Raises NotFound `run.unknown`."""
        found = await self._records.get(_key(workspace, run))
        if found is None:
            raise _unknown(workspace, run)
        return found

    async def create(self, run: Run) -> bool:
        """Writes a new record; False where one of that id exists."""
        return await self._records.create(_key(run.workspace, run.id), run)

    async def update(self, workspace: str, run: str, change: Callable[[Run], object]) -> Run:
        """Applies `change` (which mutates the record in place) by compare-and-set; see Records.update.

        Raises NotFound `run.unknown`, or Conflict.
        """
        found = await self._records.update(_key(workspace, run), change)
        if found is None:
            raise _unknown(workspace, run)
        return found

    async def list(self, workspace: str) -> list[Run]:
        """All runs of a workspace, newest first (ids are ULIDs, which sort by time)."""
        runs = [Run.model_validate_json(value) async for _, value in entries(self._bucket, f"{workspace}.*") if value]
        return sorted(runs, key=lambda run: run.id, reverse=True)

    async def newest(self, workspace: str = "*", *, before: str = "") -> AsyncGenerator[Run, None]:
        """The same, of one workspace or of all, read as they are asked for; those older than `before`, a run's id."""
        keys = [key async for key, _ in entries(self._bucket, f"{workspace}.*", keys_only=True)]
        wanted = [key for key in keys if not before or _run_of(key) < before]
        wanted.sort(key=_run_of, reverse=True)
        for start in range(0, len(wanted), _PAGE):
            for run in await asyncio.gather(*map(self._records.get, wanted[start : start + _PAGE])):
                if run is not None:  # else its workspace is being deleted
                    yield run


def _unknown(workspace: str, run: str) -> NotFound:
    return NotFound("run.unknown", f"Workspace {workspace} has no run {run}: `kaos train list` shows them.")


def _key(workspace: str, name: str) -> str:
    return f"{workspace}.{name}"


def _run_of(key: str) -> str:
    return key.partition(".")[2]
