"""The steps of a job, each one write: begun, a datum done, ended. A step that comes too late changes nothing."""

import sqlite3
from dataclasses import dataclass
from typing import Final, Literal

from python_pachyderm.proto.v2.pps import pps_pb2

from kaos.pachd.pfs.commits import provenance_of
from kaos.pachd.pfs.names import Row, commit_by_id
from kaos.pachd.pps import datums, jobs
from kaos.pachd.storage import trees
from kaos.pachd.storage.trees import CollisionError, Draft, Node
from kaos.pachd.transaction import Transaction

_JOB: Final = pps_pb2.JobState
_DATUM: Final = pps_pb2.DatumState


@dataclass(frozen=True)
class Waits:
    """The job can't begin: until an input is finished, or until an earlier job (rowid) is over that may do its work."""

    job: int | None = None


@dataclass(frozen=True)
class Begun:
    """The job runs; these datums (by number) are to be done."""

    todo: tuple[int, ...]


@dataclass(frozen=True)
class Done:
    """What became of a datum: `written` are path and node of its output, `nanoseconds` of user code."""

    state: Literal["success", "failed", "recovered"]
    nanoseconds: int
    written: tuple[tuple[str, Node], ...] = ()
    reason: str = ""


_STATES: Final = {"success": _DATUM.SUCCESS, "failed": _DATUM.FAILED, "recovered": _DATUM.RECOVERED}


def begin(txn: Transaction, rowid: int) -> Begun | Waits | None:
    """Divides a job into datums and sets it running; None where it is over (perhaps now, with nothing to do).

    A job that an engine was killed in goes on with the datums that were not done.
    """
    job = jobs.look_up(txn.connection, rowid)
    if job is None or job["finished"] is not None:
        return None
    if job["state"] == _JOB.JOB_RUNNING:
        txn.connection.execute("UPDATE jobs SET restarts = restarts + 1 WHERE id = ?", (rowid,))
        return _begun(txn, job)
    inputs = provenance_of(txn.connection, job["output"])
    if any(commit["finished"] is None for commit in inputs):
        txn.connection.execute("UPDATE jobs SET state = ? WHERE id = ?", (_JOB.JOB_STARTING, rowid))
        return Waits()
    if broken := [commit["commit_set"] for commit in inputs if commit["error"]]:
        jobs.end(txn, job, _JOB.JOB_UNRUNNABLE, f"unrunnable because input commit {broken[0]} has an error")
        return None
    given = pps_pb2.PipelineInfo.Details.FromString(job["spec"]).input
    found = datums.divide(txn.connection, given, datums.heads_below(txn.connection, given, inputs), job["salt"])
    skipped = _done_before(txn.connection, job, {datum.hash for datum in found})
    if isinstance(skipped, Waits):
        return skipped
    datums.insert(txn.connection, rowid, found, skipped)
    txn.connection.execute("UPDATE jobs SET state = ?, started = ? WHERE id = ?", (_JOB.JOB_RUNNING, txn.now, rowid))
    return _begun(txn, job)


def inputs_finished(connection: sqlite3.Connection, rowid: int) -> bool:
    """Whether a job that waits for its inputs need not wait any more (also where it is gone)."""
    job = jobs.look_up(connection, rowid)
    if job is None or job["finished"] is not None:
        return True
    return all(commit["finished"] is not None for commit in provenance_of(connection, job["output"]))


def record(txn: Transaction, rowid: int, number: int, done: Done) -> bool:
    """Notes what became of a datum, and ends the job where that decides it; True where the job is over now."""
    job = jobs.look_up(txn.connection, rowid)
    if job is None or job["finished"] is not None:
        return True
    root = trees.EMPTY
    if done.written:
        draft = Draft(txn.connection, trees.EMPTY)
        for path, node in done.written:
            draft.put(path, node)
        root = draft.save()
    txn.connection.execute(
        "UPDATE datums SET state = ?, root = ?, nanoseconds = ? WHERE job = ? AND number = ?",
        (_STATES[done.state], root, done.nanoseconds, rowid, number),
    )
    if done.state == "failed":
        datum = txn.connection.execute("SELECT id FROM datums WHERE job = ? AND number = ?", (rowid, number)).fetchone()
        return jobs.end(txn, job, _JOB.JOB_FAILURE, f"datum {datum['id']} failed: {done.reason}")
    return _finish(txn, job)


def fail(txn: Transaction, rowid: int, reason: str) -> None:
    """Ends a job that can't go on, whatever its datums."""
    if (job := jobs.look_up(txn.connection, rowid)) is not None:
        jobs.end(txn, job, _JOB.JOB_FAILURE, reason)


def kill(txn: Transaction, rowid: int, reason: str) -> None:
    """Ends a job from outside."""
    if (job := jobs.look_up(txn.connection, rowid)) is not None:
        jobs.end(txn, job, _JOB.JOB_KILLED, reason)


def _begun(txn: Transaction, job: Row) -> Begun | None:
    rows = txn.connection.execute(
        "SELECT number FROM datums WHERE job = ? AND state = ? ORDER BY number", (job["id"], _DATUM.STARTING)
    ).fetchall()
    if not rows:
        _finish(txn, job)
        return None
    return Begun(tuple(row["number"] for row in rows))


def _finish(txn: Transaction, job: Row) -> bool:
    """Ends the job if no datum is left to do: its output is what all of them wrote."""
    left = txn.connection.execute(
        "SELECT 1 FROM datums WHERE job = ? AND state = ? LIMIT 1", (job["id"], _DATUM.STARTING)
    ).fetchone()
    if left:
        return False
    roots = txn.connection.execute(
        "SELECT root FROM datums WHERE job = ? AND state IN (?, ?) ORDER BY number", (job["id"], *datums.DONE)
    ).fetchall()
    try:
        root = trees.merge(txn.connection, [row["root"] for row in roots])
    except CollisionError as collision:
        return jobs.end(txn, job, _JOB.JOB_FAILURE, f"two datums wrote the same file: {collision.path}")
    return jobs.end(txn, job, _JOB.JOB_SUCCESS, root=root)


def _done_before(connection: sqlite3.Connection, job: Row, wanted: set[str]) -> dict[str, str] | Waits:
    """The output (a root) of each of these datums (by hash) that the latest successful ancestor has done.

    An ancestor under way that is about to do one of them is waited for; one that failed is looked through.
    """
    parent = commit_by_id(connection, job["output"])["parent"]
    while parent is not None:
        ancestor = connection.execute("SELECT * FROM jobs WHERE output = ?", (parent,)).fetchone()
        if ancestor is not None and ancestor["finished"] is None:
            known = {row["hash"] for row in _datums(connection, ancestor)}
            if ancestor["started"] is None or known & wanted:
                return Waits(ancestor["id"])
        elif ancestor is not None and ancestor["state"] == _JOB.JOB_SUCCESS:
            rows = _datums(connection, ancestor)
            return {row["hash"]: row["root"] for row in rows if row["hash"] in wanted and row["state"] in datums.DONE}
        parent = commit_by_id(connection, parent)["parent"]
    return {}


def _datums(connection: sqlite3.Connection, job: Row) -> list[Row]:
    return connection.execute("SELECT hash, root, state FROM datums WHERE job = ?", (job["id"],)).fetchall()
