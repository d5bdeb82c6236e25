"""POST …/dry-run: what a submission would store, build and train, told beforehand. Writes nothing."""

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import grpc
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from functions.gateway.dependencies import Services, Wired, WorkspaceName, body_of, documents
from functions.gateway.runs import PartWanted, Submission, check
from shared import workspaces
from shared.bundles import bundle_id, content_branch
from shared.grids import TRIALS_MAX, canonical, digest_of
from shared.names import PartKind, strip_suffix
from shared.pachyderm import commit_of, is_code
from shared.runs import Inputs, Options, Run
from shared.trials import Trial

# How trials end that have nothing left to do.
_DONE: Final = frozenset({"succeeded", "skipped"})
# The one trial of a training without hyperparameters.
_NO_PARAMS: Final = digest_of(canonical({}))

TrialsOf = Callable[[Run], Awaitable[Iterable[Trial]]]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class PartPlanned(PartWanted):
    """A bundle that the caller may upload: also its tree hash, and for params the digest of each combination."""

    tree: Digest
    trials: list[Digest] = Field(default=[], max_length=TRIALS_MAX)


class Plan(Submission):
    """A submission, were it one."""

    parts: list[PartPlanned] = Field(min_length=1, max_length=4)  # type: ignore[assignment]  # parts that tell more


class PartSeen(BaseModel):
    """A bundle, and whether the workspace holds its content already."""

    kind: PartKind
    bundle: str
    size: int
    cached: bool


class Preview(BaseModel):
    """What would happen. `image`: it would be built, was built before, is the workspace's newest, or is missing.

    `same_as`: the run that has trained the same; then nothing is trained, unless by force.
    """

    workspace_exists: bool
    parts: list[PartSeen]
    inputs: Inputs
    image: Literal["build", "built", "newest", "missing"]
    trials: int
    done: int
    same_as: str


@dataclass(frozen=True)
class _Known:
    """What Pachyderm knows: the parts whose content it holds, the newest data, and the newest image and its source."""

    cached: frozenset[PartKind] = frozenset()
    data: str = ""
    source: str = ""
    digest: str = ""


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}", tags=["runs"])
    add: Any = routes.add_api_route
    add("/dry-run", foresee, methods=["POST"], openapi_extra=documents(Plan), summary="What a run would do")
    return routes


async def foresee(ws: WorkspaceName, plan: Annotated[Plan, Depends(body_of(Plan))], wired: Wired) -> Preview:
    """Looks at what the workspace holds and has trained. Between this and the run itself others may change that."""
    check(plan, wired.settings)
    if await workspaces.find(wired.bus, ws) is None:
        return await _preview(plan, _Known(), None, [], wired)
    known = await wired.pachyderm.call(lambda client: _look(client, ws, plan))
    return await _preview(plan, known, ws, await wired.runs.list(ws), wired)


async def _preview(plan: Plan, known: _Known, workspace: str | None, runs: list[Run], wired: Services) -> Preview:
    brought = {part.kind: bundle_id(strip_suffix(part.filename), part.tree) for part in plan.parts}
    options = Options(**plan.options.model_dump())
    digest = image_of(runs, brought["source"]) if "source" in brought else known.digest
    inputs = Inputs(
        source=brought.get("source") or known.source,
        data=brought.get("data") or brought.get("manifest") or known.data,
        params=brought.get("params", ""),
        image=digest,
    )
    wanted = {digest for part in plan.parts for digest in part.trials} or {_NO_PARAMS}
    trials_of = (await wired.bus.trials()).of
    same_as = "" if plan.force else await trained_by(runs, inputs, options, wanted, trials_of)
    done = set() if plan.force else await trained_in(runs, inputs, options, trials_of)
    return Preview(
        workspace_exists=workspace is not None,
        parts=[
            PartSeen(kind=part.kind, bundle=brought[part.kind], size=part.size, cached=part.kind in known.cached)
            for part in plan.parts
        ],
        inputs=inputs,
        image=_image(brought, runs, known),
        trials=len(wanted),
        done=len(wanted if same_as else wanted & done),
        same_as=same_as,
    )


def _image(
    brought: dict[PartKind, str], runs: list[Run], known: _Known
) -> Literal["build", "built", "newest", "missing"]:
    if "source" not in brought:
        return "newest" if known.digest else "missing"
    built = any(
        run.build.state == "succeeded" and "source" in run.parts and run.parts["source"].bundle == brought["source"]
        for run in runs
    )
    return "built" if built else "build"


def image_of(runs: list[Run], source: str) -> str:
    """The digest of the image that was made of a source bundle and trained with; empty where none is known."""
    return next((run.inputs.image for run in runs if run.inputs.source == source and run.inputs.image), "")


async def trained_by(runs: list[Run], inputs: Inputs, options: Options, wanted: set[str], trials_of: TrialsOf) -> str:
    """The run whose models would be adopted: it has trained exactly the combinations `wanted` on the same inputs."""
    for run in runs:
        alike = (
            run.state == "succeeded"
            and _of_inputs(run, inputs)
            and run.options.model_copy(update={"parallelism": None}) == options.model_copy(update={"parallelism": None})
            and run.trial_count == len(wanted)
        )
        if alike and {_digest(trial.params) for trial in await trials_of(run)} == wanted:
            return run.same_as or run.id
    return ""


async def trained_in(runs: list[Run], inputs: Inputs, options: Options, trials_of: TrialsOf) -> set[str]:
    """The combinations that Pachyderm would skip: those that the pipeline's newest successful job has done.

    A pipeline is of one image and one set of options; `runs` are the newest first.
    """
    for run in runs:
        in_pipeline = run.inputs.image == inputs.image and run.options == options and not run.force and not run.same_as
        if in_pipeline and inputs.image and run.train.state == "succeeded":
            tried = await trials_of(run) if _of_inputs(run, inputs) else ()
            return {_digest(trial.params) for trial in tried if trial.state in _DONE}
    return set()


def _of_inputs(run: Run, inputs: Inputs) -> bool:
    return bool(inputs.image) and (run.inputs.image, run.inputs.data) == (inputs.image, inputs.data)


def _digest(params: dict[str, object]) -> str:
    return digest_of(canonical(params))


def _look(client: Client, workspace: str, plan: Plan) -> _Known:
    cached = {
        part.kind
        for part in plan.parts
        if _head(client, workspace, part.kind, content_branch(strip_suffix(part.filename), part.tree))
    }
    image = _head(client, workspace, "build", "latest")
    described = json.loads(_read(client, workspace, image)) if image else {}
    return _Known(
        cached=frozenset(cached),
        data=_newest_data(client, workspace),
        source=described.get("source", ""),
        digest=described.get("digest", ""),
    )


def _head(client: Client, workspace: str, repo: str, branch: str) -> str:
    try:
        return str(client.inspect_branch(repo, branch, project_name=workspace).head.id)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return ""
        raise


def _newest_data(client: Client, workspace: str) -> str:
    """The bundle id of what came last: data that was dropped, or a manifest whose data was fetched."""
    found = []
    for repo, branch in (("data", "master"), ("manifest", "latest")):
        if head := _head(client, workspace, repo, branch):
            [info] = client.inspect_commit(commit_of(workspace, repo, head), pfs_pb2.CommitState.STARTED)
            found.append((info.finished.ToNanoseconds(), _bundle(info)))
    return max(found)[1] if found else ""


def _bundle(info: Any) -> str:
    """The bundle id that ingest wrote into a commit's description."""
    try:
        return str(json.loads(info.description)["kaos-bundle"])
    except (ValueError, KeyError, TypeError):
        return ""


def _read(client: Client, workspace: str, image: str) -> bytes:
    content: bytes = client.get_file(commit_of(workspace, "build", image), "/image.json").read()
    return content
