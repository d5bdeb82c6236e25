"""Carries a change downstream: every branch made from a moved one gets a new commit, all of one commit set."""

from collections.abc import Callable
from graphlib import TopologicalSorter

from kaos.pachd.pfs.branches import transitive
from kaos.pachd.pfs.commits import AUTO, add_commit
from kaos.pachd.pfs.names import Row
from kaos.pachd.storage import trees
from kaos.pachd.transaction import Transaction

# Told of the rowid of each new output commit: it makes the job, where the repo is a pipeline's.
MakeJob = Callable[[Transaction, int], None]


def propagate(txn: Transaction, make_job: MakeJob) -> None:
    """Makes the commits (and jobs) downstream of `txn.moved`, upstream ones first.

    A branch whose inputs' heads are those of its own head's provenance has nothing new to do.
    """
    for branch in _downstream(txn):
        row = txn.connection.execute("SELECT * FROM branches WHERE id = ?", (branch,)).fetchone()
        heads = _heads_above(txn, branch)
        if None in heads or (heads == _provenance_of_head(txn, row) and branch not in txn.renewed):
            continue
        commit = add_commit(
            txn,
            row,
            parent=row["head"],
            origin=AUTO,
            root=trees.EMPTY,
            provenance=[head for head in heads if head is not None],
        )
        make_job(txn, commit)


def _downstream(txn: Transaction) -> list[int]:
    """The branches that have provenance and are moved or below a moved one, each after those above it."""
    reached = set(txn.moved)
    for branch in txn.moved:
        reached.update(transitive(txn.connection, branch, "upstream", "branch"))
    above = {branch: _direct(txn, branch) for branch in reached}
    order = TopologicalSorter({branch: upstream & reached for branch, upstream in above.items()}).static_order()
    return [branch for branch in order if above[branch]]


def _direct(txn: Transaction, branch: int) -> set[int]:
    rows = txn.connection.execute("SELECT upstream FROM branch_provenance WHERE branch = ?", (branch,)).fetchall()
    return {row["upstream"] for row in rows}


def _heads_above(txn: Transaction, branch: int) -> set[int | None]:
    rows = txn.connection.execute(
        "SELECT head FROM branch_provenance JOIN branches ON branches.id = upstream WHERE branch = ?", (branch,)
    ).fetchall()
    return {row["head"] for row in rows}


def _provenance_of_head(txn: Transaction, branch: Row) -> set[int]:
    rows = txn.connection.execute(
        "SELECT upstream FROM commit_provenance WHERE commit_id = ?", (branch["head"],)
    ).fetchall()
    return {row["upstream"] for row in rows}
