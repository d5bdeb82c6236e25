"""Makes one commit of a bundle in Pachyderm for a run: whole and finished, or not there, however often it is tried.

Each attempt opens a commit of its own and notes its id in the run record before it may finish it. Who finds an
earlier attempt's id there settles that commit first: it is finished with an error, which only one of the two can do.
So at most one commit of a run is ever finished as it should be, whatever is slow, dies or comes twice. No attempt
waits for another, nor one run for another: each commits on a branch named after its run, which ends with it.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Final, Literal

import grpc
from google.protobuf import wrappers_pb2
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.transaction.transaction_pb2 import TransactionRequest

from functions.ingest.bundle import Bundle, Files
from shared.bundles import content_branch
from shared.errors import Reject, Retry
from shared.names import PartKind
from shared.pachyderm import ABANDONED, Pachyderm, commit_of, details, is_code, modify_file
from shared.runs import FINAL, Part, Run, Runs

# Pachyderm keeps the list of a request's files in memory: at 1 KiB each, 2 MiB.
_BATCH: Final = 2_000
NEWEST: Final = "master"
# An attempt that was overtaken is not over for good: the one that overtook it may die. Three heartbeats of that one
# fit in here, and the first of them already takes this delay back (deploy/nats.toml: ack_wait).
_OVERTAKEN: Final = timedelta(seconds=30)


async def commit_bundle(run: Run, kind: PartKind, bundle: Bundle, *, pachyderm: Pachyderm, runs: Runs) -> str:
    """Returns the id of the run's commit of this bundle; where Pachyderm has the content, nothing is uploaded.

    Raises Retry where another attempt has taken over, or where the content is being stored by Pachyderm just now, and
    Reject `run.over` where the run was ended meanwhile: then it leaves no commit.
    """
    before = run.parts[kind].attempt if kind in run.parts else ""
    if before and await pachyderm.call(lambda client: _close(client, run, kind, before)) == "finished":
        return before
    branch = content_branch(bundle.name, bundle.tree)
    base = await pachyderm.call(lambda client: _head(client, run, kind, branch))
    commit = await pachyderm.call(lambda client: _start(client, run, kind, bundle.id, base))

    def note(record: Run) -> None:
        _check_open(record)
        part = record.parts.get(kind) or Part(kind=kind)
        if part.attempt != before:
            raise Retry("another attempt stores the bundle", after=_OVERTAKEN)
        record.parts[kind] = part.model_copy(update={"attempt": commit, "bundle": bundle.id, "known": bool(base)})

    try:
        await runs.update(run.workspace, run.id, note)
        if not base:
            await pachyderm.call(lambda client: _upload(client, run, kind, commit, bundle.files()))
        # An upload takes its time, and what was killed must not become the workspace's newest.
        _check_open(await runs.get(run.workspace, run.id))
        heads = [NEWEST] if base else [NEWEST, branch]
        await pachyderm.call(lambda client: _finish(client, run, kind, commit, heads))
    except Exception as error:
        match await pachyderm.call(lambda client: _close(client, run, kind, commit)):
            case "finished":
                return commit  # what failed was the answer
            case "lost":
                raise Retry("another attempt has taken over", after=_OVERTAKEN) from error
        raise
    except BaseException:
        # Told to stop. A thread may be uploading still: it finds the commit closed.
        await pachyderm.call(lambda client: _close(client, run, kind, commit))
        raise
    return commit


def _check_open(run: Run) -> None:
    if run.state in FINAL:
        raise Reject("run.over", f"Run {run.id} is {run.state}: nothing is stored for it.")


def _close(client: Client, run: Run, kind: PartKind, commit: str) -> Literal["finished", "closed", "lost"]:
    """What has become of an attempt's commit: finished as it should be; or closed for good, here or by another."""
    try:
        client.finish_commit(commit_of(run.workspace, kind, commit), error=ABANDONED)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return "lost"
        if not is_code(error, grpc.StatusCode.UNKNOWN):  # "has already finished" has no code of its own
            raise
        [info] = client.inspect_commit(commit_of(run.workspace, kind, commit))
        if not info.HasField("finishing"):
            raise
        return "lost" if info.error == ABANDONED else "finished"
    with suppress(grpc.RpcError):  # it is of no use, and in nobody's way
        client.drop_commit(commit)
    return "closed"


def _head(client: Client, run: Run, kind: PartKind, branch: str) -> str:
    """The commit at the head of a branch; empty where there is none."""
    try:
        return str(client.inspect_branch(kind, branch, project_name=run.workspace).head.id)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return ""
        raise


def _start(client: Client, run: Run, kind: PartKind, bundle: str, base: str) -> str:
    """Opens a commit of the run, with the content of `base` where there is one."""
    description = json.dumps({"kaos-run": run.id, "kaos-bundle": bundle})
    parent = commit_of(run.workspace, kind, base) if base else None
    try:
        opened = client.start_commit(kind, run.id, parent=parent, description=description, project_name=run.workspace)
    except grpc.RpcError as error:
        if "has not been finished" not in details(error):
            raise
        if not base:
            # An attempt that died before it noted its commit. (A living one notes it at once, and gives way.)
            _close(client, run, kind, _head(client, run, kind, run.id))
        raise Retry("the commit before is not finished", after=timedelta(milliseconds=200)) from error
    return str(opened.id)


def _upload(client: Client, run: Run, kind: PartKind, commit: str, files: Files) -> None:
    """Adds the files as they are read, a batch at a time."""
    target = commit_of(run.workspace, kind, commit)
    for first in files:
        batch = itertools.chain((first,), itertools.islice(files, _BATCH - 1))
        modify_file(client, _additions(target, batch))


def _additions(target: pfs_pb2.Commit, files: Files) -> Iterator[pfs_pb2.ModifyFileRequest]:
    """A message for each piece of each file, and for a file without content one too."""
    yield pfs_pb2.ModifyFileRequest(set_commit=target)
    for path, content in files:
        for piece in itertools.chain((next(content, b""),), content):
            added = pfs_pb2.AddFile(path=path, raw=wrappers_pb2.BytesValue(value=piece))
            yield pfs_pb2.ModifyFileRequest(add_file=added)


def _finish(client: Client, run: Run, kind: PartKind, commit: str, heads: list[str]) -> None:
    """Finishes the commit, points these branches at it and removes the run's own: all or nothing, in one request."""
    finished = commit_of(run.workspace, kind, commit)
    moves = [
        pfs_pb2.CreateBranchRequest(branch=commit_of(run.workspace, kind, branch=head).branch, head=finished)
        for head in heads
    ]
    own = commit_of(run.workspace, kind, branch=run.id).branch
    client.batch_transaction(
        [
            TransactionRequest(finish_commit=pfs_pb2.FinishCommitRequest(commit=finished)),
            *(TransactionRequest(create_branch=move) for move in moves),
            # Pachyderm looks at every branch of a repo whenever a commit finishes: there must not be one for each run.
            TransactionRequest(delete_branch=pfs_pb2.DeleteBranchRequest(branch=own)),
        ]
    )
