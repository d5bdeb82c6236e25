"""What a run trains on: its own parts, and for what it did not bring, the workspace's newest."""

import json
from dataclasses import dataclass, replace

import grpc
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from shared.names import PartKind
from shared.pachyderm import commit_of, is_code
from shared.runs import Run
from shared.workspaces import NO_PARAMS

# Branches by which the newest of each input is known; `latest` of repo `build` is the newest image that was built.
NEWEST_IMAGE = "latest"
NEWEST_DATA = "master"


@dataclass(frozen=True)
class Input:
    """A commit, the bundle id it holds (empty for no hyperparameters), and the hash of all its files, in hex."""

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
    """Finds the inputs of `run`, whose own parts are all committed and whose own build, if any, has succeeded."""
    workspace = run.workspace
    image = run.build.job if "source" in run.parts else _head(client, workspace, "build", NEWEST_IMAGE)
    if image is None:
        return Missing("The run waits for a source bundle: kaos train deploy -s <directory>.")
    data = _part(run, "data") or _newest(client, workspace, "data", NEWEST_DATA)
    if data is None:
        return Missing("The run waits for a data bundle: kaos train deploy -d <directory>.")
    params = _part(run, "params") or _newest(client, workspace, "params", NO_PARAMS)
    if params is None:
        raise LookupError(f"workspace {workspace} lacks params@{NO_PARAMS}, which is made with it")
    described = json.loads(_read(client, workspace, "build", image, "/image.json"))
    data, params = _hashed(client, workspace, "data", data), _hashed(client, workspace, "params", params)
    return Inputs(
        image=Input(image, described["source"]),
        reference=described["ref"],
        digest=described["digest"],
        data=data,
        params=params,
    )


def bundle_of(description: str) -> str:
    """The bundle id that ingest wrote into a commit's description; empty where the commit is not ingest's."""
    try:
        told = json.loads(description)
    except ValueError:
        return ""
    return str(told.get("kaos-bundle", "")) if isinstance(told, dict) else ""


def _hashed(client: Client, workspace: str, repo: str, found: Input) -> Input:
    whole = client.inspect_file(commit_of(workspace, repo, found.commit), "/")
    return replace(found, content=whole.hash.hex())


def _part(run: Run, kind: PartKind) -> Input | None:
    part = run.parts.get(kind)
    return Input(part.commit, part.bundle) if part else None


def _newest(client: Client, workspace: str, repo: str, branch: str) -> Input | None:
    head = _head(client, workspace, repo, branch)
    if head is None:
        return None
    [info] = client.inspect_commit(commit_of(workspace, repo, head), pfs_pb2.CommitState.STARTED)
    return Input(head, bundle_of(info.description))


def _head(client: Client, workspace: str, repo: str, branch: str) -> str | None:
    try:
        info = client.inspect_branch(repo, branch, project_name=workspace)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return None
        raise
    return str(info.head.id) or None


def _read(client: Client, workspace: str, repo: str, commit: str, path: str) -> bytes:
    content: bytes = client.get_file(commit_of(workspace, repo, commit), path).read()
    return content
