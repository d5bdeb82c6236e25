"""Makes a job in Pachyderm exactly once: its id is recorded in the run before the transaction that makes it ends.

A transaction's id is the id of the commit set, and so of the jobs, that it makes. Whoever finds a recorded id whose
job does not exist first deletes that transaction: from then on a slower attempt can no longer finish it.
"""

from collections.abc import Callable
from datetime import timedelta

import grpc
from python_pachyderm import Client

from shared.errors import Retry
from shared.events import Stage
from shared.jobs import Jobs, OwnedJob
from shared.pachyderm import Pachyderm, is_code
from shared.runs import JobRecord, Run, Runs


async def launch(
    run: Run,
    stage: Stage,
    pipeline: str,
    effects: Callable[[Client], None],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    jobs: Jobs,
) -> str:
    """Applies `effects` in one transaction and returns the id of the job it makes in `pipeline`.

    Returns the job made before where there is one. `effects` gets a client bound to the transaction, and must move
    the head of an input of `pipeline`. Raises Retry where another attempt claimed the stage meanwhile.
    """
    previous = run.stage(stage).job
    if previous:
        exists = await pachyderm.call(lambda client: _settle(client, run.workspace, pipeline, previous))
        if exists:
            await jobs.update(run.workspace, previous, _mark_launched)
            return previous
    transaction = await pachyderm.call(lambda client: str(client.start_transaction().id))

    def claim(record: Run) -> None:
        if record.stage(stage).job != previous:
            raise Retry(f"another attempt launches {stage} of run {run.id}", after=timedelta(seconds=1))
        record.set_stage(stage, JobRecord(job=transaction, pipeline=pipeline))

    await runs.update(run.workspace, run.id, claim)
    await jobs.claim(OwnedJob(workspace=run.workspace, job=transaction, pipeline=pipeline, stage=stage, runs=(run.id,)))
    await pachyderm.call(lambda client: _finish(client, pachyderm, transaction, effects))
    await jobs.update(run.workspace, transaction, _mark_launched)
    return transaction


def job_exists(client: Client, workspace: str, pipeline: str, job: str) -> bool:
    """Whether Pachyderm knows this job of this pipeline."""
    try:
        list(client.inspect_job(job, pipeline, project_name=workspace))
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return False
        raise
    return True


def _settle(client: Client, workspace: str, pipeline: str, job: str) -> bool:
    """Whether the job of an earlier attempt exists; where it does not, it never will after this."""
    try:
        client.delete_transaction(job)
    except grpc.RpcError as error:
        if not is_code(error, grpc.StatusCode.NOT_FOUND):
            raise
    return job_exists(client, workspace, pipeline, job)


def _finish(client: Client, pachyderm: Pachyderm, transaction: str, effects: Callable[[Client], None]) -> None:
    effects(pachyderm.in_transaction(transaction))
    client.finish_transaction(transaction)


def _mark_launched(owned: OwnedJob) -> None:
    owned.launched = True
