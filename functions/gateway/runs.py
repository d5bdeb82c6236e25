"""Submitting a run, and looking at runs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from ulid import ULID

from functions.gateway import resources
from functions.gateway.dependencies import RunRecord, Wired, WorkspaceName, body_of, documents
from functions.gateway.uploads import Upload, prepare
from functions.gateway.workspaces import existing
from shared.errors import Reject
from shared.events import RunChanged, RunState
from shared.names import PART_KINDS, PartKind, bundle_name, strip_suffix, submission_key
from shared.runs import Options, Part, Run
from shared.settings import Settings
from shared.trials import Trial
from shared.workspaces import ensure

# S3 allows 1,024 bytes a key; the workspace, the kind, the run and three slashes take 78 at most.
_MOST_FILENAME: Final = 200
MOST_AUTHOR: Final = 200


Limit = Annotated[int, Query(ge=1, le=1000)]
States = Annotated[list[RunState] | None, Query(description="Only those in this state, or in one of several.")]
Since = Annotated[AwareDatetime | None, Query(description="Only runs that were submitted since then (ISO 8601).")]
Before = Annotated[
    str, Query(max_length=26, description="Only runs older than this one: the last of a page brings the next.")
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class PartWanted(_Strict):
    """A bundle that the caller is going to upload; `size` in bytes."""

    kind: PartKind
    filename: str = Field(max_length=_MOST_FILENAME)
    size: int = Field(gt=0)


class OptionsWanted(Options):
    """Options, without the tolerance that old records need."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Submission(_Strict):
    """One run: what it brings, what each of its trials may use of the machine, and who submits it.

    `force` trains again what has been trained before.
    """

    parts: list[PartWanted] = Field(min_length=1, max_length=len(PART_KINDS))
    options: OptionsWanted = OptionsWanted()
    author: str = Field(default="", max_length=MOST_AUTHOR)
    force: bool = False


class Submitted(BaseModel):
    """The run, and where its parts are to be put."""

    run: Run
    uploads: list[Upload]


class RunShown(Run):
    """A run with its trials: those that its job has ended with, or until then those that have begun."""

    trials: list[Trial]


class RunList(BaseModel):
    """Runs, newest first, without their trials."""

    runs: list[Run]


def router() -> APIRouter:
    """The routes of runs."""
    routes = APIRouter(prefix="/v1", tags=["runs"])
    add: Any = routes.add_api_route
    of_workspace = "/workspaces/{ws}/runs"
    documented = documents(Submission)
    add(of_workspace, submit, methods=["POST"], status_code=201, openapi_extra=documented, summary="Submit a run")
    add(of_workspace, recent, methods=["GET"], summary="The newest runs")
    add(f"{of_workspace}/{{run}}", show, methods=["GET"], summary="A run")
    add("/runs", recent_everywhere, methods=["GET"], summary="The newest runs of all workspaces")
    return routes


async def submit(
    ws: WorkspaceName, submission: Annotated[Submission, Depends(body_of(Submission))], wired: Wired
) -> Submitted:
    """Records a run and tells where to upload its parts; it starts once they are all there.

    Makes the workspace where there is none. Whether an upload ever comes is up to the caller: until then the run
    is shown as `received`.
    """
    check(submission, wired.settings)
    await ensure(wired.pachyderm, wired.bus, ws)
    run = _record(ws, submission)
    # Uploads first: where the object store is down there is no run that nobody can feed.
    uploads = [await prepare(wired.bucket, wired.settings.inbox_bucket, run, part) for part in run.parts.values()]
    await wired.runs.create(run)
    await wired.bus.publish(RunChanged(workspace=ws, run=run.id, state=run.state))
    return Submitted(run=run, uploads=uploads)


async def recent(
    ws: WorkspaceName,
    wired: Wired,
    *,
    limit: Limit = 50,
    state: States = None,
    since: Since = None,
    before: Before = "",
) -> RunList:
    """The newest runs of the workspace, of all states or of some."""
    await existing(wired, ws)
    return await _chosen(wired.runs.newest(ws, before=before), limit, state, since)


async def recent_everywhere(
    wired: Wired, *, limit: Limit = 50, state: States = None, since: Since = None, before: Before = ""
) -> RunList:
    """The newest runs of all workspaces, of all states or of some."""
    return await _chosen(wired.runs.newest(before=before), limit, state, since)


async def _chosen(
    found: AsyncGenerator[Run, None], limit: int, states: list[RunState] | None, since: datetime | None
) -> RunList:
    """The first `limit` of these, read no further than it takes."""
    chosen: list[Run] = []
    async with aclosing(found) as runs:
        async for run in runs:
            if (not states or run.state in states) and (since is None or run.created >= since):
                chosen.append(run)
            if len(chosen) == limit:
                break
    return RunList(runs=chosen)


async def show(run: RunRecord, wired: Wired) -> RunShown:
    """The whole record: parts, stages, trials, times, and why it failed."""
    trials = await (await wired.bus.trials()).of(run)
    return RunShown.model_construct(**dict(run), trials=trials)


def check(submission: Submission, settings: Settings) -> None:
    """Raises Reject where these parts or options can make no run."""
    kinds = [part.kind for part in submission.parts]
    if len(set(kinds)) < len(kinds):
        raise Reject("run.parts", "A run takes one bundle of each kind: send each kind once.")
    if {"data", "manifest"} <= set(kinds):
        raise Reject("run.parts", "A run takes data or a manifest of data, not both.")
    for part in submission.parts:
        bundle_name(strip_suffix(part.filename))
        if part.size > settings.bundle_max_bytes:
            raise Reject(
                "bundle.size",
                f"{part.filename} has {part.size:,} bytes; the limit is {settings.bundle_max_bytes:,}: "
                "name the data in a manifest instead (-m).",
            )
    resources.check(submission.options, settings)


def _record(workspace: str, submission: Submission) -> Run:
    now, run = datetime.now(UTC), str(ULID()).lower()
    parts = {
        part.kind: Part(
            kind=part.kind,
            name=strip_suffix(part.filename),
            key=submission_key(workspace, part.kind, run, part.filename),
            size=part.size,
        )
        for part in submission.parts
    }
    return Run(
        workspace=workspace,
        id=run,
        created=now,
        expected=tuple(parts),
        parts=parts,
        options=Options(**submission.options.model_dump()),
        author=submission.author,
        force=submission.force,
        times={"received": now},
    )
