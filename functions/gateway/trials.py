"""POST …/trials/{trial}/kill: ends one trial of a training; the others go on."""

from typing import Any, Final

import grpc
from fastapi import APIRouter
from pydantic import BaseModel
from python_pachyderm import Client
from python_pachyderm.proto.v2.pps import pps_pb2

from functions.gateway.dependencies import RunRecord, Wired
from functions.gateway.errors import Refused
from shared.errors import Conflict, NotFound
from shared.names import GIVE_UP_HEADER, KILLED_BY_USER, TRIAL_DIGITS
from shared.pachyderm import is_code, job_of
from shared.runs import Run

# What the embedded engine adds to its version (kaos/pachd/about.py).
_EMBEDDED: Final = "kaos"


class KilledTrial(BaseModel):
    """The trial that was told to end; the run goes on without it."""

    run: str
    trial: str


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}/runs/{run}/trials", tags=["runs"])
    add: Any = routes.add_api_route
    add("/{trial}/kill", kill, methods=["POST"], summary="End one trial")
    return routes


async def kill(run: RunRecord, trial: str, wired: Wired) -> KilledTrial:
    """Ends a trial that runs or waits for its turn: it has failed then, and the run ends without a model of it.

    404 `trial.unknown`; 409 `trial.final` where it has ended; 501 `trial.kill` on a Pachyderm cluster, which has no
    request for it.
    """
    pachyderm = wired.pachyderm
    version = await pachyderm.call(lambda client: client.get_remote_version())
    if _EMBEDDED not in version.additional:
        raise Refused(
            501,
            "trial.kill",
            "A Pachyderm cluster can't end one trial: it would begin anew. `kaos train kill` ends the whole run.",
        )
    datum = await pachyderm.call(lambda client: _datum(client, run, trial.rpartition(":")[2]))
    job = job_of(run.workspace, run.train.pipeline, run.train.job)
    request = pps_pb2.RestartDatumRequest(job=job, data_filters=[datum])
    try:
        await pachyderm.pps.RestartDatum(request, metadata=(*pachyderm.metadata, (GIVE_UP_HEADER, KILLED_BY_USER)))
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            raise Conflict("trial.final", f"Trial {trial[:80]} is over: there is nothing to kill.") from error
        raise
    return KilledTrial(run=run.id, trial=datum[:TRIAL_DIGITS])


def _datum(client: Client, run: Run, trial: str) -> str:
    """The id of the trial's datum. Raises NotFound `trial.unknown`."""
    listed = client.list_datum(run.train.pipeline, run.train.job, project_name=run.workspace) if run.train.job else ()
    found = [str(info.datum.id) for info in listed if trial and info.datum.id.startswith(trial)]
    if len(found) != 1:
        raise NotFound("trial.unknown", f"Run {run.id} has no trial {trial[:80]!r}: `kaos train info` lists them.")
    return found[0]
