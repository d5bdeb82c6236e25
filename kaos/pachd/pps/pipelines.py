"""Pipelines: created, updated, stopped, described, deleted."""

import sqlite3
import uuid
from collections.abc import Iterator
from typing import Any

from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2

from kaos.pachd.errors import already_exists, not_found, unknown
from kaos.pachd.pfs.branches import set_provenance
from kaos.pachd.pfs.commits import AUTO, add_branch, add_commit, close_commit
from kaos.pachd.pfs.names import Row, look_up_branch, look_up_repo, project_of
from kaos.pachd.pfs.repos import add_repo
from kaos.pachd.pps import jobs
from kaos.pachd.pps.datums import inputs_of
from kaos.pachd.pps.names import find_pipeline, look_up_pipeline
from kaos.pachd.pps.specs import details_of
from kaos.pachd.storage import trees
from kaos.pachd.transaction import Transaction

_STATE = pps_pb2.PipelineState


def create_pipeline(txn: Transaction, request: Any) -> None:
    """Makes a pipeline and its first job, or with `update` its next version. ALREADY_EXISTS; see specs for the rest.

    The three repos are Pachyderm's own: output, specification and meta; the latter two stay empty here.
    """
    details = details_of(request)
    project, name = project_of(request.pipeline.project), request.pipeline.name
    upstream = [_input_branch(txn, pfs) for pfs in inputs_of(details.input)]
    known = look_up_pipeline(txn.connection, project, name)
    if known is not None:
        if not request.update:
            raise already_exists(f"pipeline {project}/{name}")
        _update(txn, known, details, upstream, reprocess=request.reprocess)
        return
    if look_up_repo(txn.connection, project, name) is not None:
        raise unknown(f"cannot create pipeline {name}: there is a repo of that name")
    output = add_repo(txn, project, name, "user")
    for kind in ("spec", "meta"):
        add_repo(txn, project, name, kind)
    branch = add_branch(txn, output, details.output_branch, None)
    txn.connection.execute(
        "INSERT INTO pipelines (project, name, version, salt, spec, branch, created) VALUES (?, ?, 1, ?, ?, ?, ?)",
        (project, name, request.salt or uuid.uuid4().hex, details.SerializeToString(), branch["id"], txn.now),
    )
    set_provenance(txn, branch["id"], upstream)


def start_pipeline(txn: Transaction, request: Any) -> None:
    """Makes its branch follow its inputs again. NOT_FOUND."""
    row = find_pipeline(txn.connection, request.pipeline)
    txn.connection.execute("UPDATE pipelines SET stopped = 0 WHERE id = ?", (row["id"],))
    given = pps_pb2.PipelineInfo.Details.FromString(row["spec"]).input
    set_provenance(txn, row["branch"], [_input_branch(txn, pfs) for pfs in inputs_of(given)])


def stop_pipeline(txn: Transaction, request: Any) -> None:
    """Makes new input cause no jobs, and kills those under way. NOT_FOUND."""
    row = find_pipeline(txn.connection, request.pipeline)
    for job in jobs.unfinished_of(txn.connection, row["id"]):
        # Pachyderm's own words (2.7).
        jobs.end(txn, job, pps_pb2.JobState.JOB_KILLED, "all jobs killed because pipeline was stopped")
    txn.connection.execute("UPDATE pipelines SET stopped = 1 WHERE id = ?", (row["id"],))
    set_provenance(txn, row["branch"], [])


def delete_pipeline(txn: Transaction, request: Any) -> None:
    """Removes it, its jobs and (unless `keep_repo`) its repos; one that is not there is no error.

    UNKNOWN while another branch has provenance on its output, unless `force`.
    """
    row = look_up_pipeline(txn.connection, project_of(request.pipeline.project), request.pipeline.name)
    if row is None:
        return
    used = txn.connection.execute("SELECT 1 FROM branch_provenance WHERE upstream = ?", (row["branch"],)).fetchone()
    if used and not request.force:
        raise unknown(f"cannot delete pipeline {row['name']}: another pipeline reads its output")
    for job in jobs.unfinished_of(txn.connection, row["id"]):
        jobs.end(txn, job, pps_pb2.JobState.JOB_KILLED, "pipeline deleted")
    txn.connection.execute("DELETE FROM pipelines WHERE id = ?", (row["id"],))
    if request.keep_repo:
        set_provenance(txn, row["branch"], [])
        return
    txn.connection.execute("DELETE FROM repos WHERE project = ? AND name = ?", (row["project"], row["name"]))
    txn.moved.discard(row["branch"])


def inspect_pipeline(connection: sqlite3.Connection, request: Any) -> pps_pb2.PipelineInfo:
    """NOT_FOUND."""
    return _pipeline_info(connection, find_pipeline(connection, request.pipeline), details=request.details)


def list_pipelines(connection: sqlite3.Connection, request: Any) -> Iterator[pps_pb2.PipelineInfo]:
    """Newest first; one by its name, or all of some projects, or all."""
    projects = {project.name for project in request.projects}
    for row in connection.execute("SELECT * FROM pipelines ORDER BY id DESC").fetchall():
        named = not request.pipeline.name or (
            (row["project"], row["name"]) == (project_of(request.pipeline.project), request.pipeline.name)
        )
        if named and (not projects or row["project"] in projects):
            yield _pipeline_info(connection, row, details=request.details)


def _update(txn: Transaction, row: Row, details: Any, upstream: list[int], *, reprocess: bool) -> None:
    for job in jobs.unfinished_of(txn.connection, row["id"]):
        jobs.end(txn, job, pps_pb2.JobState.JOB_KILLED, "pipeline updated")
    txn.connection.execute(
        "UPDATE pipelines SET version = version + 1, salt = ?, spec = ?, stopped = 0 WHERE id = ?",
        (uuid.uuid4().hex if reprocess else row["salt"], details.SerializeToString(), row["id"]),
    )
    set_provenance(txn, row["branch"], upstream)
    txn.renewed.add(row["branch"])


def _input_branch(txn: Transaction, pfs: Any) -> int:
    """The branch of an input; where there is none, one with an empty closed commit. NOT_FOUND: its repo."""
    repo = look_up_repo(txn.connection, pfs.project, pfs.repo, pfs.repo_type)
    if repo is None:
        raise not_found(f"repo {pfs.project}/{pfs.repo}")
    branch = look_up_branch(txn.connection, repo["id"], pfs.branch)
    if branch is None:
        branch = add_branch(txn, repo["id"], pfs.branch, None)
    if branch["head"] is None:
        close_commit(txn, add_commit(txn, branch, parent=None, origin=AUTO, root=trees.EMPTY))
    return int(branch["id"])


def _pipeline_info(connection: sqlite3.Connection, row: Row, *, details: bool) -> pps_pb2.PipelineInfo:
    spec = pps_pb2.PipelineInfo.Details.FromString(row["spec"])
    newest = connection.execute(
        "SELECT state FROM jobs WHERE pipeline = ? ORDER BY id DESC LIMIT 1", (row["id"],)
    ).fetchone()
    info = pps_pb2.PipelineInfo(
        pipeline=pps_pb2.Pipeline(name=row["name"], project=pfs_pb2.Project(name=row["project"])),
        version=row["version"],
        stopped=bool(row["stopped"]),
        state=_STATE.PIPELINE_PAUSED if row["stopped"] else _STATE.PIPELINE_RUNNING,
        last_job_state=newest["state"] if newest else pps_pb2.JobState.JOB_STATE_UNKNOWN,
        parallelism=spec.parallelism_spec.constant,
        type=pps_pb2.PipelineInfo.PipelineType.PIPELINE_TYPE_TRANSFORM,
    )
    if details:
        spec.salt = row["salt"]
        spec.created_at.FromNanoseconds(row["created"])
        info.details.CopyFrom(spec)
    return info
