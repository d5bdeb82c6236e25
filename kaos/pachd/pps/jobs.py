"""Jobs: made with their output commit, carried to an end exactly once, described."""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2

from kaos.pachd.errors import not_found, unknown
from kaos.pachd.pfs.commits import close_commit
from kaos.pachd.pfs.names import Row, commit_by_id, commit_message, find_commit, project_of
from kaos.pachd.pps.names import find_pipeline
from kaos.pachd.transaction import Transaction

_STATE: Final = pps_pb2.JobState
TERMINAL: Final = frozenset({_STATE.JOB_FAILURE, _STATE.JOB_SUCCESS, _STATE.JOB_KILLED, _STATE.JOB_UNRUNNABLE})
_DATUM: Final = pps_pb2.DatumState
_STOPPED: Final = "job stopped"
_JOBS: Final = (
    "SELECT jobs.*, pipelines.project, pipelines.name FROM jobs JOIN pipelines ON pipelines.id = jobs.pipeline"
)


def make_job(txn: Transaction, output: int) -> None:
    """Makes the job of a new output commit (rowid), where its branch is a pipeline's."""
    commit = commit_by_id(txn.connection, output)
    pipeline = txn.connection.execute(
        "SELECT pipelines.* FROM pipelines JOIN branches ON branches.id = pipelines.branch WHERE branches.head = ?",
        (output,),
    ).fetchone()
    if pipeline is None:
        return
    txn.connection.execute(
        "INSERT INTO jobs (pipeline, commit_set, output, version, salt, spec, state, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(pipeline["id"], commit["commit_set"], output, pipeline["version"], pipeline["salt"], pipeline["spec"]),
            *(_STATE.JOB_CREATED, txn.now),
        ),
    )


def end(txn: Transaction, job: Row, state: int, reason: str = "", *, root: str | None = None) -> bool:
    """Ends a job and finishes its output commit; False where it had ended before (then nothing changes)."""
    ended = txn.connection.execute(
        "UPDATE jobs SET state = ?, reason = ?, finished = ? WHERE id = ? AND finished IS NULL",
        (state, reason, txn.now, job["id"]),
    )
    if ended.rowcount:
        close_commit(txn, job["output"], root=root, error=reason if state != _STATE.JOB_SUCCESS else "")
    return bool(ended.rowcount)


def stop_job(txn: Transaction, request: Any) -> None:
    """Ends it KILLED, and what is downstream of it with it. UNKNOWN where it is over."""
    row = find(txn.connection, request.job)
    if not end(txn, row, _STATE.JOB_KILLED, request.reason or _STOPPED):
        raise unknown(f"job {row['commit_set']} of pipeline {row['name']} has already finished")


def delete_job(txn: Transaction, request: Any) -> None:
    """Ends it where it is under way, and forgets it. NOT_FOUND."""
    row = find(txn.connection, request.job)
    end(txn, row, _STATE.JOB_KILLED, "job deleted")
    txn.connection.execute("DELETE FROM jobs WHERE id = ?", (row["id"],))


def unfinished_of(connection: sqlite3.Connection, pipeline: int) -> list[Row]:
    """The jobs of a pipeline (rowid) that are not over."""
    return connection.execute("SELECT * FROM jobs WHERE pipeline = ? AND finished IS NULL", (pipeline,)).fetchall()


def unfinished(connection: sqlite3.Connection) -> list[int]:
    """The rowids of all jobs that are not over, oldest first."""
    return [row["id"] for row in connection.execute("SELECT id FROM jobs WHERE finished IS NULL ORDER BY id")]


def look_up(connection: sqlite3.Connection, rowid: int) -> Row | None:
    """The job's row, or None where it has been deleted."""
    row: Row | None = connection.execute(f"{_JOBS} WHERE jobs.id = ?", (rowid,)).fetchone()
    return row


def find(connection: sqlite3.Connection, job: Any) -> Row:
    """The job's row; NOT_FOUND."""
    row: Row | None = connection.execute(
        f"{_JOBS} WHERE project = ? AND name = ? AND commit_set = ?",
        (project_of(job.pipeline.project), job.pipeline.name, job.id),
    ).fetchone()
    if row is None:
        raise not_found(f"job {project_of(job.pipeline.project)}/{job.pipeline.name}@{job.id}")
    return row


def of_set(connection: sqlite3.Connection, commit_set: str) -> list[Row]:
    """The jobs of a commit set, oldest first; NOT_FOUND."""
    rows = connection.execute(f"{_JOBS} WHERE commit_set = ? ORDER BY jobs.id", (commit_set,)).fetchall()
    if not rows:
        raise not_found(f"job set {commit_set}")
    return rows


def list_jobs(connection: sqlite3.Connection, request: Any) -> Iterator[pps_pb2.JobInfo]:
    """A pipeline's jobs (all of them where none is named), newest first; of the last `history` versions, -1: all."""
    where, values = "WHERE 1 ", []
    if request.pipeline.name:
        pipeline = find_pipeline(connection, request.pipeline)
        where += "AND pipeline = ? "
        values.append(pipeline["id"])
        if request.history >= 0:
            where += "AND jobs.version >= ? "
            values.append(pipeline["version"] - request.history)
    inputs = {find_commit(connection, commit)["id"] for commit in request.input_commit}
    order = "ASC" if request.reverse else "DESC"
    count = 0
    for row in connection.execute(f"{_JOBS} {where} ORDER BY jobs.id {order}", values).fetchall():
        if inputs - _provenance(connection, row["output"]):
            continue
        yield job_info(connection, row, details=request.details)
        count += 1
        if request.number and count == request.number:
            return


def list_job_sets(connection: sqlite3.Connection, request: Any) -> Iterator[pps_pb2.JobSetInfo]:
    """The commit sets that have jobs, newest first."""
    projects = {project.name for project in request.projects}
    sets = connection.execute("SELECT commit_set FROM jobs GROUP BY commit_set ORDER BY max(id) DESC").fetchall()
    count = 0
    for found in reversed(sets) if request.reverse else sets:
        rows = of_set(connection, found["commit_set"])
        if projects and not any(row["project"] in projects for row in rows):
            continue
        yield pps_pb2.JobSetInfo(
            job_set=pps_pb2.JobSet(id=found["commit_set"]),
            jobs=[job_info(connection, row, details=request.details) for row in rows],
        )
        count += 1
        if request.number and count == request.number:
            return


def job_message(row: Row) -> pps_pb2.Job:
    """A job as clients name it."""
    pipeline = pps_pb2.Pipeline(name=row["name"], project=pfs_pb2.Project(name=row["project"]))
    return pps_pb2.Job(id=row["commit_set"], pipeline=pipeline)


def job_info(connection: sqlite3.Connection, row: Row, *, details: bool = False) -> pps_pb2.JobInfo:
    """All that clients see of a job."""
    info = pps_pb2.JobInfo(
        job=job_message(row),
        pipeline_version=row["version"],
        output_commit=commit_message(connection, commit_by_id(connection, row["output"])),
        restart=row["restarts"],
        state=row["state"],
        reason=row["reason"],
    )
    for state, count, nanoseconds in connection.execute(
        "SELECT state, count(*), sum(nanoseconds) FROM datums WHERE job = ? GROUP BY state", (row["id"],)
    ):
        info.data_total += count
        info.data_processed += count if state == _DATUM.SUCCESS else 0
        info.data_skipped += count if state == _DATUM.SKIPPED else 0
        info.data_failed += count if state == _DATUM.FAILED else 0
        info.data_recovered += count if state == _DATUM.RECOVERED else 0
        info.stats.process_time.FromNanoseconds(info.stats.process_time.ToNanoseconds() + nanoseconds)
    for field, moment in (("created", "created"), ("started", "started"), ("finished", "finished")):
        if row[moment] is not None:
            getattr(info, field).FromNanoseconds(row[moment])
    if details:
        _add_details(info, row)
    return info


def _add_details(info: pps_pb2.JobInfo, row: Row) -> None:
    spec = pps_pb2.PipelineInfo.Details.FromString(row["spec"])
    details = info.details
    for field, value in spec.ListFields():
        if field.name not in pps_pb2.JobInfo.Details.DESCRIPTOR.fields_by_name:
            continue
        if field.message_type is not None:
            getattr(details, field.name).CopyFrom(value)
        else:
            setattr(details, field.name, value)
    details.salt = row["salt"]


def _provenance(connection: sqlite3.Connection, commit: int) -> set[int]:
    rows = connection.execute("SELECT upstream FROM commit_provenance WHERE commit_id = ?", (commit,)).fetchall()
    return {row["upstream"] for row in rows}
