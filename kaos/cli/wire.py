"""The gateway's answers, as types. Plain dictionaries: pydantic would take longer to import than a command to run."""

from typing import Literal, NotRequired, TypedDict

PartKind = Literal["source", "data", "manifest", "params"]
Stage = Literal["build", "fetch", "train"]
State = Literal["received", "ingesting", "building", "waiting", "training", "succeeded", "failed", "killed", "rejected"]

# A run in one of these never changes again.
FINAL = frozenset({"succeeded", "failed", "killed", "rejected"})


class Part(TypedDict):
    """One bundle of a submission; `bundle` and `commit` are empty until it is ingested."""

    kind: PartKind
    name: str
    size: int
    bundle: str
    commit: str
    known: bool


class Job(TypedDict):
    """A stage's job; `job` is empty where there is none yet. Times are ISO 8601."""

    job: str
    state: str
    started: str | None
    finished: str | None
    skipped: bool
    reason: str


class Trial(TypedDict):
    """One combination of hyperparameters, and its model (empty where it made none).

    `step` is where its metrics were told last, `omitted` that it has more than are kept. Costs are of the whole trial:
    None where it isn't over, or where nobody could tell.
    """

    id: str
    model: str
    state: str
    params: dict[str, object]
    metrics: dict[str, float | str]
    step: float | None
    omitted: bool
    seconds: float | None
    cpu_seconds: float | None
    peak_bytes: int | None
    reason: str


class Inputs(TypedDict):
    """Bundle ids, and the name of the image."""

    source: str
    data: str
    params: str
    image: str


class Failure(TypedDict):
    """A stable code and a sentence."""

    code: str
    message: str


class Run(TypedDict):
    """One submission followed through all stages. `times`: state → when it was entered.

    `trials` are told of a run that is asked for by its id, and of every run how many they are: while they are
    `trials_live`, those that have begun.
    `same_as` is the earlier run whose models it has, where there was nothing to train; `retry_of` the one it repeats.
    """

    workspace: str
    id: str
    state: str
    created: str
    author: str
    force: bool
    retry_of: str
    same_as: str
    expected: list[PartKind]
    parts: dict[PartKind, Part]
    inputs: Inputs
    build: Job
    fetch: Job
    train: Job
    trial_count: int
    trials_live: bool
    trials: list[Trial]
    error: Failure | None
    times: dict[str, str]


class Multipart(TypedDict):
    """Where each part of an upload goes, in order; all but the last have `part_size` bytes."""

    upload_id: str
    part_size: int
    urls: list[str]


class Upload(TypedDict):
    """Where one bundle goes: one presigned `url`, or several."""

    kind: PartKind
    key: str
    headers: dict[str, str]
    url: str | None
    multipart: Multipart | None


class Submitted(TypedDict):
    """A new run and where to put its parts."""

    run: Run
    uploads: list[Upload]


class PartSeen(TypedDict):
    """A bundle of a dry run; `cached`: the workspace holds its content already."""

    kind: PartKind
    bundle: str
    size: int
    cached: bool


class Node(TypedDict):
    """A thing of a lineage: its kind, what it is called, and what else is known of it."""

    id: str
    kind: str
    label: str
    facts: dict[str, str]


# From what was used to what was made of it: ids of nodes.
Edge = tuple[str, str]


class Provenance(TypedDict):
    """What a model was made from."""

    model: str
    workspace: str
    run: str
    nodes: list[Node]
    edges: list[Edge]


class Preview(TypedDict):
    """What a run would do: `image` is build, built, newest or missing; `done` of the `trials` are done already."""

    workspace_exists: bool
    parts: list[PartSeen]
    inputs: Inputs
    image: str
    trials: int
    done: int
    same_as: str


class Workspace(TypedDict):
    """A workspace; how many runs it has had, and what the next training inherits, where it was asked for by name."""

    name: str
    created: str
    runs: NotRequired[int]
    inputs: NotRequired[Inputs]


class Contents(TypedDict):
    """What a workspace holds: how many runs, of them not over, models, and bytes."""

    name: str
    runs: int
    unfinished: int
    models: int
    pachyderm_bytes: int
    inbox_bytes: int
    log_bytes: int


class Line(TypedDict):
    """One line that a job wrote; `partial` where the line goes on in the next."""

    stage: str
    job: str
    trial: str
    seq: int
    time: str
    text: str
    partial: NotRequired[bool]


class Event(TypedDict):
    """A CloudEvent; `sequence` resumes a stream after it."""

    id: str
    type: str
    time: str
    sequence: str
    data: dict[str, object]
