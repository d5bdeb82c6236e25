"""Which commits a commit was made from, as Pachyderm keeps it."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from shared.pachyderm import commit_of, is_code


@dataclass(frozen=True)
class Step:
    """A commit of the lineage, what Pachyderm says of it, and the (repo, commit) it was made from.

    `info` is None, and nothing upstream known, where the commit was deleted since.
    """

    repo: str
    commit: str
    info: Any | None
    upstream: tuple[tuple[str, str], ...]


def walk(client: Client, workspace: str, repo: str, commit: str) -> Iterator[Step]:
    """The commit itself, then all that it was made from, the nearest first, each once. Raises grpc.RpcError."""
    ahead, seen = deque([(repo, commit)]), {(repo, commit)}
    while ahead:
        repo, commit = ahead.popleft()
        step = _step(client, workspace, repo, commit)
        yield step
        for above in step.upstream:
            if above not in seen:
                seen.add(above)
                ahead.append(above)


def _step(client: Client, workspace: str, repo: str, commit: str) -> Step:
    try:
        [info] = client.inspect_commit(commit_of(workspace, repo, commit), pfs_pb2.CommitState.STARTED)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return Step(repo, commit, None, ())
        raise
    # A newer Pachyderm names the repo in the commit itself, an older one in its branch.
    upstream = tuple((above.repo.name or above.branch.repo.name, str(above.id)) for above in info.direct_provenance)
    return Step(repo, commit, info, upstream)


def origin(client: Client, workspace: str, step: Step) -> tuple[str, dict[str, str]]:
    """The commit that ingest made, and what it wrote into it: `kaos-run` and `kaos-bundle`; empty where none did.

    A training or a retry puts a commit of the same content on top of it, with its description or none.
    """
    described: dict[str, str] = {}
    while step.info is not None:
        described = described or _described(step.info.description)
        parent = str(step.info.parent_commit.id)
        above = _step(client, workspace, step.repo, parent) if parent else None
        if above is None or above.info is None or (described and _described(above.info.description) != described):
            break
        step = above
    return step.commit, described


def _described(description: str) -> dict[str, str]:
    try:
        told = json.loads(description)
        return {name: str(told[name]) for name in ("kaos-run", "kaos-bundle")}
    except (ValueError, KeyError, TypeError):
        return {}
