"""GET …/models/{model}/provenance: what a model was made from, by whom, as nodes and edges."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from python_pachyderm import Client

from functions.gateway.dependencies import Services, Wired, WorkspaceName, run_record
from functions.gateway.lineage import Step, origin, walk
from functions.gateway.workspaces import existing
from shared.errors import NotFound
from shared.runs import Run
from shared.trials import Trial

Kind = Literal["source", "build", "image", "manifest", "fetch", "data", "params", "training", "trial", "model"]

# What was made of what. A lineage has one node of a kind at most, so the kind is the node's id.
_MADE_OF: Final[tuple[tuple[Kind, Kind], ...]] = (
    ("source", "build"),
    ("build", "image"),
    ("image", "training"),
    ("manifest", "fetch"),
    ("fetch", "data"),
    ("data", "training"),
    ("params", "training"),
    ("training", "trial"),
    ("trial", "model"),
)
_DIGEST_SHOWN: Final = 12


class Node(BaseModel):
    """One thing of a lineage: `label` is what it is called, `facts` what else is known, in the order of interest."""

    id: str
    kind: Kind
    label: str
    facts: dict[str, str]


class Provenance(BaseModel):
    """The lineage of a model of a run: each edge leads from what was used to what was made of it (ids of nodes)."""

    model: str
    workspace: str
    run: str
    nodes: list[Node]
    edges: list[tuple[str, str]]


@dataclass(frozen=True)
class _Origin:
    """Where the content of a repo's commit came in: ingest's commit, the run that brought it, and whose that was."""

    commit: str = ""
    run: str = ""
    author: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """As a node tells it."""
        return {"author": self.author, "commit": self.commit, "run": self.run}


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}/models/{model}", tags=["files"])
    add: Any = routes.add_api_route
    add("/provenance", provenance, methods=["GET"], summary="What a model was made from")
    return routes


async def provenance(
    ws: WorkspaceName,
    model: Annotated[str, Path(max_length=200)],
    wired: Wired,
    run: Annotated[str, Query(max_length=26, description="The run; else the newest that trained the model.")] = "",
) -> Provenance:
    """The lineage as Pachyderm's commits have it. 404 `model.unknown`, or `files.unknown` where they were deleted."""
    await existing(wired, ws)
    runs = [await run_record(ws, run, wired)] if run else await wired.runs.list(ws)
    found, trial = await _trained(wired, runs, model)
    steps = await wired.pachyderm.call(lambda client: _steps(client, found))
    if steps[found.train.pipeline][0].info is None:
        raise NotFound("files.unknown", f"Pachyderm no longer has the output of run {found.id}.")
    origins = {repo: await _origin(wired, ws, *told) for repo, (_, told) in steps.items()}
    nodes = [*_nodes(found, trial, {repo: step for repo, (step, _) in steps.items()}, origins)]
    known = {node.kind for node in nodes}
    return Provenance(
        model=trial.model,
        workspace=ws,
        run=found.id,
        nodes=nodes,
        edges=[(used, made) for used, made in _MADE_OF if {used, made} <= known],
    )


async def _trained(wired: Services, runs: list[Run], model: str) -> tuple[Run, Trial]:
    """The run that trained the model (given by its id, or the trial's) itself, if it is known; `runs` newest first."""
    trials = await wired.bus.trials()
    found = [
        (run, trial)
        for run in runs
        for trial in await trials.of(run)
        if trial.model and model in {trial.model, trial.id}
    ]
    if not found:
        raise NotFound("model.unknown", f"There is no model {model[:80]!r}: `kaos train info` lists a run's.")
    own = [(run, trial) for run, trial in found if trial.state == "succeeded" and not run.same_as]
    return (own or found)[0]


def _steps(client: Client, run: Run) -> dict[str, tuple[Step, tuple[str, dict[str, str]]]]:
    """By repo: the commit that the training used, and where its content came in."""
    steps: dict[str, tuple[Step, tuple[str, dict[str, str]]]] = {}
    for step in walk(client, run.workspace, run.train.pipeline, run.train.job):
        if step.repo not in steps:
            steps[step.repo] = step, origin(client, run.workspace, step)
    return steps


async def _origin(wired: Services, workspace: str, commit: str, described: dict[str, str]) -> _Origin:
    run = described.get("kaos-run", "")
    try:
        author = (await wired.runs.get(workspace, run)).author if run else ""
    except NotFound:
        author = ""
    return _Origin(commit, run, author)


def _nodes(run: Run, trial: Trial, steps: dict[str, Step], origins: dict[str, _Origin]) -> Iterator[Node]:
    """What there is of each kind, from the bundles to the model."""
    inputs, fetched = run.inputs, next((repo for repo in steps if repo.startswith("fetch-")), "")
    if "source" in steps:
        yield _node("source", f"/{inputs.source}", origins["source"].facts)
    if "build" in steps:
        yield _node("build", steps["build"].commit, {"pipeline": "build"})
        name = inputs.source.rpartition(":")[0]
        digest = inputs.image
        yield _node("image", f"{name}@sha256:{digest[:_DIGEST_SHOWN]}", {"digest": digest})
    if fetched:
        if "manifest" in steps:
            yield _node("manifest", f"/{inputs.data}", origins["manifest"].facts)
        yield _node("fetch", steps[fetched].commit, {"pipeline": fetched})
    if fetched or "data" in steps:
        yield _node("data", f"/{inputs.data}", {} if fetched else origins["data"].facts)
    if trial.params:
        bundle = {"bundle": f"/{inputs.params}"} if inputs.params else {}
        yield _node("params", _written(trial.params), bundle | origins.get("params", _Origin()).facts)
    yield _node("training", run.train.job, _training(run))
    took = f"{trial.seconds:.3f}" if trial.seconds is not None else ""
    yield _node("trial", trial.id, {"state": trial.state, "seconds": took, "datum": trial.datum})
    yield _node("model", trial.model, {name: str(value) for name, value in sorted(trial.metrics.items())})


def _training(run: Run) -> dict[str, str]:
    job = run.train
    times = {
        name: f"{when:%Y-%m-%dT%H:%M:%SZ}"
        for name, when in (("started", job.started), ("finished", job.finished))
        if when
    }
    return {"pipeline": job.pipeline, "run": run.id, "author": run.author, **times}


def _written(params: dict[str, object]) -> str:
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in sorted(params.items())
    )


def _node(kind: Kind, label: str, facts: dict[str, str]) -> Node:
    return Node(id=kind, kind=kind, label=label, facts={name: text for name, text in facts.items() if text})
