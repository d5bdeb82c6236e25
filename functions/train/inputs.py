"""What a run trains on: its own parts, and for what it did not bring, the workspace's newest."""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import grpc
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.transaction import transaction_pb2

from shared.manifests import fetch_pipeline
from shared.names import PartKind
from shared.pachyderm import commit_of, is_code
from shared.runs import Run
from shared.workspaces import NO_PARAMS

# Branches by which the newest of each input is known; `latest` of repo `build` is the newest image that was built, of
# repo `manifest` the newest manifest that was fetched, and of its pipeline's repo what that brought.
NEWEST_IMAGE = "latest"
NEWEST_FETCHED = "latest"
NEWEST_DATA = "master"
# Images and commits of all workspaces that are trained with again and again.
_REMEMBERED: Final = 256


@dataclass(frozen=True)
class Input:
    """A commit, the bundle id it holds (empty for no hyperparameters), and the hash of all its files, in hex."""

    repo: str
    commit: str
    bundle: str
    content: str = ""


@dataclass(frozen=True)
class Inputs:
    """The three inputs of a training. `reference` is the image's name, `digest` its SHA-256 in hex."""

    image: Input
    reference: str
    digest: str
    data: Input
    params: Input


@dataclass(frozen=True)
class Missing:
    """What a run still waits for, as a sentence."""

    sentence: str


def resolve(client: Client, run: Run) -> Inputs | Missing:
    """Finds the inputs of `run`, whose own parts are all committed, and fetched and built where they must be."""
    workspace = run.workspace
    image = run.build.job if "source" in run.parts else _head(client, workspace, "build", NEWEST_IMAGE)
    if image is None:
        return Missing("The run waits for a source bundle: kaos train deploy -s <directory>.")
    data = _part(run, "data") or _fetched(run) or _newest_data(client, workspace)
    if data is None:
        return Missing("The run waits for data: kaos train deploy -d <directory>, or -m <manifest>.")
    params = _part(run, "params") or _no_params(client, workspace)
    if params is None:
        raise LookupError(f"workspace {workspace} lacks params@{NO_PARAMS}, which is made with it")
    described = _image(client, workspace, image)
    return Inputs(
        image=Input("build", image, described["source"]),
        reference=described["ref"],
        digest=described["digest"],
        data=replace(data, content=_content(client, workspace, data.repo, data.commit)),
        params=replace(params, content=_content(client, workspace, params.repo, params.commit)),
    )


def bundle_of(description: str) -> str:
    """The bundle id that ingest wrote into a commit's description; empty where the commit is not ingest's."""
    try:
        told = json.loads(description)
    except ValueError:
        return ""
    return str(told.get("kaos-bundle", "")) if isinstance(told, dict) else ""


def point_at_image(client: Client, workspace: str, job: str) -> None:
    """Makes the image that a build job has built the workspace's newest."""
    client.create_branch("build", NEWEST_IMAGE, commit_of(workspace, "build", job), project_name=workspace)


def point_at_fetched(client: Client, run: Run) -> None:
    """Makes what the run has fetched the workspace's newest: its manifest and what that brought, both or neither."""
    heads = [
        commit_of(run.workspace, "manifest", run.parts["manifest"].commit),
        commit_of(run.workspace, run.fetch.pipeline, run.fetch.job),
    ]
    client.batch_transaction(
        [
            transaction_pb2.TransactionRequest(
                create_branch=pfs_pb2.CreateBranchRequest(
                    branch=commit_of(run.workspace, head.branch.repo.name, branch=NEWEST_FETCHED).branch, head=head
                )
            )
            for head in heads
        ]
    )


# A finished commit never changes, and its id is no other's: what is read of one is remembered, for run after run trains
# with the same image and parameters.
@lru_cache(maxsize=_REMEMBERED)
def _image(client: Client, workspace: str, job: str) -> dict[str, str]:
    """What the builder says of the image that the job has built."""
    read: dict[str, str] = json.loads(client.get_file(commit_of(workspace, "build", job), "/image.json").read())
    return read


@lru_cache(maxsize=_REMEMBERED)
def _content(client: Client, workspace: str, repo: str, commit: str) -> str:
    """The hash of all files of a commit, in hex."""
    return str(client.inspect_file(commit_of(workspace, repo, commit), "/").hash.hex())


def _part(run: Run, kind: PartKind) -> Input | None:
    part = run.parts.get(kind)
    return Input(kind, part.commit, part.bundle) if part else None


def _fetched(run: Run) -> Input | None:
    manifest = run.parts.get("manifest")
    return Input(run.fetch.pipeline, run.fetch.job, manifest.bundle) if manifest else None


def _newest_data(client: Client, workspace: str) -> Input | None:
    """What came last: a bundle that was dropped, or data that was fetched."""
    found = []
    if (dropped := _newest_commit(client, workspace, "data", NEWEST_DATA)) is not None:
        found.append((dropped, Input("data", dropped.commit.id, bundle_of(dropped.description))))
    if (manifest := _newest_commit(client, workspace, "manifest", NEWEST_FETCHED)) is not None:
        bundle = bundle_of(manifest.description)
        pipeline = fetch_pipeline(bundle.rpartition(":")[0])
        if (fetched := _newest_commit(client, workspace, pipeline, NEWEST_FETCHED)) is not None:
            found.append((fetched, Input(pipeline, fetched.commit.id, bundle)))
    return max(found, key=lambda each: each[0].finished.ToNanoseconds())[1] if found else None


def _no_params(client: Client, workspace: str) -> Input | None:
    # No more than its id: every training makes a child of this commit, and a CommitInfo lists them all.
    head = _head(client, workspace, "params", NO_PARAMS)
    return Input("params", head, "") if head is not None else None


def _newest_commit(client: Client, workspace: str, repo: str, branch: str) -> Any | None:
    try:
        [info] = client.inspect_commit(commit_of(workspace, repo, branch=branch), pfs_pb2.CommitState.STARTED)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return None
        raise
    return info


def _head(client: Client, workspace: str, repo: str, branch: str) -> str | None:
    try:
        info = client.inspect_branch(repo, branch, project_name=workspace)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return None
        raise
    return str(info.head.id) or None
