"""Makes one commit of a bundle in Pachyderm: whole and finished, or not there."""

import itertools
import json
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

import grpc
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from shared.errors import Retry
from shared.names import PartKind
from shared.pachyderm import Pachyderm, commit_of, details, is_code

# 16 hex digits are 64 bits: two bundles of one workspace meet by chance once in 2^32 bundles.
_BRANCH_DIGITS: Final = 16
# A quarter of the usual limit of 1,024 open files, for several uploads share it.
_BATCH: Final = 256
NEWEST: Final = "master"
# Where a file lies in the commit, and where its content lies on this disk.
Files = Iterable[tuple[str, Path]]


def commit_bundle(
    client: Client,
    pachyderm: Pachyderm,
    *,
    workspace: str,
    kind: PartKind,
    run: str,
    bundle: str,
    tree: str,
    files: Files,
) -> tuple[str, bool]:
    """Returns the commit's id, and whether Pachyderm had the content already (then nothing is uploaded).

    A bundle has a branch of its own, named by its hash, so that no two bundles wait for each other. Raises Retry
    while another attempt's commit is open on it: that attempt ends it, or its commit is dropped here when it is dead.
    """
    branch = f"b-{tree[:_BRANCH_DIGITS]}"
    known = _has_content(client, workspace, kind, branch)
    commit = _start(client, workspace, kind, branch, json.dumps({"kaos-run": run, "kaos-bundle": bundle}))
    try:
        if not known:
            _upload(client, commit, files)
        _finish(client, pachyderm, workspace, kind, commit)
    except BaseException:
        # Also when this thread is told to stop: an open commit would hold up everybody who brings the same bundle.
        client.drop_commit(commit.id)
        raise
    return str(commit.id), known


def _has_content(client: Client, workspace: str, kind: PartKind, branch: str) -> bool:
    try:
        head = client.inspect_branch(kind, branch, project_name=workspace).head
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return False
        raise
    return bool(head.id)


def _start(client: Client, workspace: str, kind: PartKind, branch: str, description: str) -> pfs_pb2.Commit:
    try:
        return client.start_commit(kind, branch, description=description, project_name=workspace)
    except grpc.RpcError as error:
        if "has not been finished" in details(error):
            raise Retry("another attempt stores the same bundle", after=timedelta(milliseconds=200)) from error
        raise


def _upload(client: Client, commit: pfs_pb2.Commit, files: Files) -> None:
    """Adds the files, a batch at a time: the client holds every file of a request open until it is sent."""
    remaining = iter(files)
    while batch := list(itertools.islice(remaining, _BATCH)):
        with ExitStack() as opened, client.modify_file_client(commit) as uploads:
            for path, content in batch:
                # From a file object: from a path, the client would send a message for every line.
                uploads.put_file_from_fileobj(path, opened.enter_context(content.open("rb")))


def _finish(client: Client, pachyderm: Pachyderm, workspace: str, kind: PartKind, commit: pfs_pb2.Commit) -> None:
    """Finishes the commit and makes it the newest, both or neither."""
    transaction = str(client.start_transaction().id)
    within = pachyderm.in_transaction(transaction)
    within.finish_commit(commit)
    within.create_branch(kind, NEWEST, commit_of(workspace, kind, commit.id), project_name=workspace)
    client.finish_transaction(transaction)
