"""Every event: its envelope, its data, and the one place that names NATS subjects.

An event is CloudEvents 1.0 in structured JSON mode. Its `id` is derived from what it tells (never random), and is
also the `Nats-Msg-Id`: publishing the same thing twice within the stream's duplicate window stores it once.
"""

import hashlib
from datetime import UTC, datetime
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from shared.names import PartKind

Stage = Literal["build", "fetch", "train"]
JobOutcome = Literal["succeeded", "failed", "killed"]
RunState = Literal[
    "received", "ingesting", "building", "waiting", "training", "succeeded", "failed", "killed", "rejected"
]


class Data(BaseModel):
    """What an event tells. Frozen; unknown fields are ignored, so that old readers survive new writers."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    type: ClassVar[str]
    workspace: str

    def subject(self) -> str:
        """The NATS subject this is published on."""
        raise NotImplementedError

    def identity(self) -> str:
        """What makes two tellings of this the same event."""
        raise NotImplementedError


class ObjectCreated(Data):
    """A bundle lies in the inbox. `etag` is unquoted; `size` in bytes; `metadata` has lower-case keys."""

    type: ClassVar[str] = "kaos.object.created"
    bucket: str
    key: str
    size: int = Field(ge=0)
    etag: str
    sequencer: str = ""
    version: str = ""
    metadata: dict[str, str] = {}

    def subject(self) -> str:
        """`kaos.<workspace>.object.created`."""
        return f"kaos.{self.workspace}.object.created"

    def identity(self) -> str:
        """The object's version, else its content and the moment of the write."""
        return f"{self.bucket}/{self.key}/{self.version or self.etag + '/' + self.sequencer}"


class CommitFinished(Data):
    """A commit of a bundle is finished in Pachyderm. `run` is the run that made it, `bundle` is `<name>:<hash7>`."""

    type: ClassVar[str] = "kaos.commit.finished"
    repo: PartKind
    commit: str
    run: str
    bundle: str = ""
    error: str = ""

    def subject(self) -> str:
        """`kaos.<workspace>.commit.<repo>.finished`."""
        return f"kaos.{self.workspace}.commit.{self.repo}.finished"

    def identity(self) -> str:
        """The commit, and whom it is told to: a retry is told of the earlier run's commits once more."""
        return f"{self.workspace}/{self.repo}@{self.commit}/{self.run}"


class JobStarted(Data):
    """Pachyderm has made a job, which is not yet over. `runs` are the runs it serves; `started`, when it began work."""

    type: ClassVar[str] = "kaos.job.started"
    stage: Stage
    pipeline: str
    job: str
    runs: tuple[str, ...]
    started: datetime | None = None

    def subject(self) -> str:
        """`kaos.<workspace>.job.<stage>.started`."""
        return f"kaos.{self.workspace}.job.{self.stage}.started"

    def identity(self) -> str:
        """The job, and whom it is told to: a run that adopts a finished job is told of it once more."""
        return f"{self.workspace}/{self.pipeline}@{self.job}/started/{' '.join(self.runs)}"


class JobFinished(JobStarted):
    """A job is over. `reason` is Pachyderm's own words where it did not succeed."""

    type: ClassVar[str] = "kaos.job.finished"
    outcome: JobOutcome
    reason: str = ""
    finished: datetime | None = None

    def subject(self) -> str:
        """`kaos.<workspace>.job.<stage>.finished`."""
        return f"kaos.{self.workspace}.job.{self.stage}.finished"

    def identity(self) -> str:
        """As for JobStarted."""
        return f"{self.workspace}/{self.pipeline}@{self.job}/finished/{' '.join(self.runs)}"


class RunChanged(Data):
    """A run has entered a state. What a person or a program subscribes to."""

    type: ClassVar[str] = "kaos.run.changed"
    run: str
    state: RunState
    code: str = ""
    message: str = ""
    models: tuple[str, ...] = ()

    def subject(self) -> str:
        """`kaos.<workspace>.run.<run>.<state>`."""
        return f"kaos.{self.workspace}.run.{self.run}.{self.state}"

    def identity(self) -> str:
        """The run and its state: a run enters each state once."""
        return f"{self.workspace}/{self.run}/{self.state}"


class MetricsReported(Data):
    """A training has reported metrics of a trial. `seq` counts its reports from 0 within (job, trial).

    Where reports come faster than they are told, `metrics` has the newest value of each since the one told before.
    What a follower who is behind still tells at a job's end may come after the last one: `seq` says which is newer.
    """

    type: ClassVar[str] = "kaos.metrics.reported"
    run: str
    job: str
    trial: str
    seq: int = Field(ge=0)
    time: datetime
    metrics: dict[str, float | int | str]
    step: float | int | None = None

    def subject(self) -> str:
        """`kaos.<workspace>.metrics.<run>.<trial>`: not below `run`, where whoever follows states would get them."""
        return f"kaos.{self.workspace}.metrics.{self.run}.{self.trial}"

    def identity(self) -> str:
        """The report, and whom it is told to."""
        return f"{self.job}/{self.trial}/{self.seq}/{self.run}"


class LogLine(Data):
    """One line a job wrote, or a piece of one over 16 KiB. `seq` counts from 0 within (job, trial).

    Of a job that is over, what was not told within a second is not told: the collected log has it.
    """

    type: ClassVar[str] = "kaos.log.line"
    run: str
    stage: Stage
    job: str
    trial: str = ""
    seq: int = Field(ge=0)
    time: datetime
    text: str

    def subject(self) -> str:
        """`kaos.<workspace>.log.<run>.<stage>`."""
        return f"kaos.{self.workspace}.log.{self.run}.{self.stage}"

    def identity(self) -> str:
        """The line's place in its stream."""
        return f"{self.job}/{self.stage}/{self.trial}/{self.seq}"


D = TypeVar("D", bound=Data)


class Event(BaseModel, Generic[D]):
    """A CloudEvents 1.0 envelope around `data`. `time` is when it was told; `traceparent` is the W3C extension."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: str | None = None
    data: SerializeAsAny[D]

    def to_bytes(self) -> bytes:
        """The structured-mode JSON that goes over the wire."""
        return self.model_dump_json(exclude_none=True).encode()


def new_event(data: D, *, source: str, time: datetime | None = None, traceparent: str | None = None) -> Event[D]:
    """Wraps `data`. `source` names the function that tells it (`ingest` becomes `/kaos/ingest`)."""
    digest = hashlib.sha256(f"{data.type}\0{data.identity()}".encode()).hexdigest()[:32]
    return Event(
        id=digest,
        source=f"/kaos/{source}",
        type=data.type,
        subject=data.subject(),
        time=time or datetime.now(UTC),
        traceparent=traceparent,
        data=data,
    )
