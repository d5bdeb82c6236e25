"""What trials reported that Pachyderm skips, since an earlier job of the pipeline has done them: no log tells again."""

from collections.abc import Collection
from typing import Final

import grpc
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from shared.bus import Bus
from shared.errors import NotFound
from shared.events import JobFinished
from shared.jobs import Jobs
from shared.pachyderm import Pachyderm, commit_of, is_code
from shared.runs import Runs
from shared.trials import Trial

# Jobs that failed are looked through; of those that succeeded, the newest knows all that is skipped.
_JOBS_MOST: Final = 20


async def skipped_metrics(
    job: JobFinished, datums: Collection[str], *, pachyderm: Pachyderm, runs: Runs, jobs: Jobs, bus: Bus
) -> dict[str, Trial]:
    """By datum id, each of `datums` as the run knew it whose job did it, or skipped it in its turn."""
    store, found, earlier, wanted = await bus.trials(), dict[str, Trial](), job.job, frozenset(datums)
    for _ in range(_JOBS_MOST if wanted else 0):
        earlier = await pachyderm.call(lambda client: _parent(client, job, earlier))  # noqa: B023  # awaited at once
        owned = await jobs.get(job.workspace, earlier) if earlier else None
        if owned is None:
            break
        for name in owned.runs:
            try:
                run = await runs.get(job.workspace, name)
            except NotFound:
                continue
            for trial in await store.of(run):
                if trial.datum in wanted:
                    found.setdefault(trial.datum, trial)
        if len(found) == len(wanted):
            break
    return found


def _parent(client: Client, job: JobFinished, commit: str) -> str:
    """The job before: the id of its output's commit is its own. Empty where there is none."""
    try:
        [info] = client.inspect_commit(commit_of(job.workspace, job.pipeline, commit), pfs_pb2.CommitState.STARTED)
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return ""
        raise
    return str(info.parent_commit.id)
