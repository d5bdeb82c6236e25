"""Makes a job in Pachyderm exactly once: its id is recorded in the run before the transaction that makes it ends.

A transaction's id is the id of the commit set, and so of the jobs, that it makes. Whoever finds a recorded id whose
job does not exist first deletes that transaction: from then on a slower attempt can no longer finish it. Who ends a
run does the same: either its job is there and is stopped, or it never will be.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

import grpc
from python_pachyderm import Client

from shared.errors import Reject, Retry
from shared.events import Stage
from shared.jobs import Jobs, OwnedJob
from shared.pachyderm import Pachyderm, details, is_code, pipeline_exists
from shared.runs import FINAL, JobRecord, Run, Runs


async def launch(
    run: Run,
    stage: Stage,
    pipeline: str,
    heads: Callable[[Client], None],
    create: Callable[[Client], None],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    jobs: Jobs,
) -> str:
    """Makes a job in `pipeline`, in one transaction, and returns its id; the job made before where there is one.

    `heads` moves the head of an input of the pipeline, and `create` makes the pipeline where there is none; both get
    a client bound to the transaction. Raises Retry where another attempt claimed the stage meanwhile, and Reject
    `run.over` where the run was ended meanwhile (which changes nothing in it any more).
    """
    previous = run.stage(stage).job
    if previous:
        exists = await pachyderm.call(lambda client: _settle(client, run.workspace, pipeline, previous))
        if exists:
            await jobs.update(run.workspace, previous, _mark_launched)
            return previous
    transaction, exists = await pachyderm.call(lambda client: _begin(client, run.workspace, pipeline))

    def claim(record: Run) -> None:
        if record.state in FINAL:
            raise Reject("run.over", f"Run {run.id} is {record.state}: nothing is launched for it.")
        if record.stage(stage).job != previous:
            raise Retry(f"another attempt launches {stage} of run {run.id}", after=timedelta(seconds=1))
        record.set_stage(stage, JobRecord(job=transaction, pipeline=pipeline))

    try:
        await runs.update(run.workspace, run.id, claim)
    except (Reject, Retry):
        await pachyderm.call(lambda client: client.delete_transaction(transaction))
        raise
    await jobs.claim(OwnedJob(workspace=run.workspace, job=transaction, pipeline=pipeline, stage=stage, runs=(run.id,)))
    effects = (heads,) if exists else (heads, create)
    await pachyderm.call(lambda client: _finish(client, pachyderm, transaction, effects))
    await jobs.update(run.workspace, transaction, _mark_launched)
    return transaction


async def stop(run: Run, stage: Stage, reason: str, *, pachyderm: Pachyderm, jobs: Jobs) -> bool:
    """Stops the stage's job of a run that is final in its record; False where there is none, nor ever will be.

    Harmless to repeat. The job's end is then told, and its log kept, as for any other job.
    """
    job, pipeline = run.stage(stage).job, run.stage(stage).pipeline
    if not job or not await pachyderm.call(lambda client: _settle(client, run.workspace, pipeline, job)):
        return False
    # Whoever launched it may have died before it said so, and the relay follows only what is launched.
    await jobs.update(run.workspace, job, _mark_launched)
    await pachyderm.call(lambda client: _stop(client, run.workspace, pipeline, job, reason))
    return True


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


def _stop(client: Client, workspace: str, pipeline: str, job: str, reason: str) -> None:
    try:
        client.stop_job(job, pipeline, reason=reason, project_name=workspace)
    except grpc.RpcError as error:
        if "finished" not in details(error) and not is_code(error, grpc.StatusCode.NOT_FOUND):
            raise


def _begin(client: Client, workspace: str, pipeline: str) -> tuple[str, bool]:
    """The id of a new transaction, and whether the pipeline is there."""
    return str(client.start_transaction().id), pipeline_exists(client, workspace, pipeline)


def _finish(
    client: Client, pachyderm: Pachyderm, transaction: str, effects: Sequence[Callable[[Client], None]]
) -> None:
    within = pachyderm.in_transaction(transaction)
    for effect in effects:
        effect(within)
    client.finish_transaction(transaction)


def _mark_launched(owned: OwnedJob) -> None:
    owned.launched = True
