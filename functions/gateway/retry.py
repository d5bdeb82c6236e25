"""POST …/retry: a new run of an earlier one's inputs, which does again only what did not succeed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from python_pachyderm import Client
from ulid import ULID

from functions.gateway.dependencies import RunRecord, Wired, body_of, documents
from functions.gateway.lineage import walk
from functions.gateway.runs import MOST_AUTHOR
from shared.errors import Conflict, Reject
from shared.events import CommitFinished, JobFinished, RunChanged, Stage
from shared.names import PartKind
from shared.runs import FINAL, JobRecord, Part, Run


class RetryWanted(BaseModel):
    """Who asks for it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    author: str = Field(default="", max_length=MOST_AUTHOR)


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}/runs/{run}", tags=["runs"])
    add: Any = routes.add_api_route
    documented = documents(RetryWanted)
    add("/retry", retry, methods=["POST"], status_code=201, openapi_extra=documented, summary="Do again what failed")
    return routes


async def retry(run: RunRecord, wanted: Annotated[RetryWanted, Depends(body_of(RetryWanted))], wired: Wired) -> Run:
    """Records a run of the same commits, and wakes whatever comes first: the training, or what comes before it.

    Nothing is uploaded. Of a training, Pachyderm skips the trials that its newest successful job has done. 409
    `run.unfinished` or `run.succeeded`; 400 `run.retry` where a bundle was never stored.
    """
    _check(run)
    used = await wired.pachyderm.call(lambda client: _used(client, run))
    made = _training_again(run, used, wanted.author) if used else _from_the_start(run, wanted.author)
    await wired.runs.create(made)
    await wired.bus.publish(RunChanged(workspace=made.workspace, run=made.id, state=made.state))
    for event in _wakers(made):
        await wired.bus.publish(event)
    return made


def _check(run: Run) -> None:
    if run.state not in FINAL:
        raise Conflict("run.unfinished", f"Run {run.id} is not over ({run.state}): wait for it, or kill it first.")
    if run.state == "succeeded":
        raise Conflict(
            "run.succeeded", f"Run {run.id} succeeded: nothing of it failed. `kaos train deploy --force` trains again."
        )
    if missing := [kind for kind in run.expected if kind not in run.parts or not run.parts[kind].commit]:
        raise Reject("run.retry", f"The {' and '.join(missing)} of run {run.id} was never stored: deploy it again.")


def _used(client: Client, run: Run) -> dict[str, str]:
    """Repo → commit of all that a training was made from; empty where it never began, or is deleted in Pachyderm."""
    used: dict[str, str] = {}
    if run.train.job:
        for step in walk(client, run.workspace, run.train.pipeline, run.train.job):
            used.setdefault(step.repo, step.commit)
    return used if {"build", "source", "params"} <= used.keys() else {}


def _training_again(run: Run, used: dict[str, str], author: str) -> Run:
    """A run whose inputs are what that training used, the workspace's newest at that time among them."""
    fetched = next((repo for repo in used if repo == run.fetch.pipeline or repo.startswith("fetch-")), "")
    bundles: dict[PartKind, str] = {"source": run.inputs.source, "params": run.inputs.params}
    bundles["manifest" if fetched else "data"] = run.inputs.data
    parts = {
        kind: Part(kind=kind, name=bundle.rpartition(":")[0], bundle=bundle, commit=used[kind], known=True)
        for kind, bundle in bundles.items()
        if bundle  # without hyperparameters then, without them now
    }
    made = _record(run, parts, author)
    made.build = JobRecord(job=used["build"], pipeline="build", state="succeeded", skipped=True)
    if fetched:
        made.fetch = JobRecord(job=used[fetched], pipeline=fetched, state="succeeded", skipped=True)
    # The pipeline that knows what was done: that of a training by force has a name of its own.
    made.train = JobRecord(pipeline=run.train.pipeline)
    return made


def _from_the_start(run: Run, author: str) -> Run:
    """A run of the bundles that were submitted, which are fetched and built again."""
    parts = {kind: part.model_copy(update={"known": True, "attempt": ""}) for kind, part in run.parts.items()}
    return _record(run, parts, author)


def _record(run: Run, parts: dict[PartKind, Part], author: str) -> Run:
    now = datetime.now(UTC)
    return Run(
        workspace=run.workspace,
        id=str(ULID()).lower(),
        created=now,
        expected=tuple(parts),
        parts=parts,
        options=run.options,
        author=author,
        force=run.force,
        retry_of=run.id,
        times={"received": now},
    )


def _wakers(made: Run) -> Iterator[CommitFinished | JobFinished]:
    """Tells the functions what the run begins with: jobs that are over, else commits."""
    stages: tuple[Stage, ...] = ("build", "fetch")
    over = [(stage, made.stage(stage)) for stage in stages if made.stage(stage).job]
    for stage, job in over:
        yield JobFinished(
            workspace=made.workspace,
            stage=stage,
            pipeline=job.pipeline,
            job=job.job,
            runs=(made.id,),
            outcome="succeeded",
        )
    for kind, part in made.parts.items() if not over else ():
        yield CommitFinished(workspace=made.workspace, repo=kind, commit=part.commit, run=made.id, bundle=part.bundle)
