"""Which commits a commit was made from, as Pachyderm keeps it."""

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
