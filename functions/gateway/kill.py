"""POST …/kill: ends a run at whatever stage it is."""

import asyncio
from typing import Any, Final, get_args

from fastapi import APIRouter

from functions.gateway.dependencies import RunRecord, Services, Wired
from shared.errors import Conflict
from shared.events import RunState, Stage
from shared.launch import stop
from shared.progress import advance
from shared.runs import Failure, Run

_WHILE: Final[dict[RunState, str]] = {
    "received": "before its bundles came",
    "ingesting": "while its bundles were stored",
    "building": "while its image was built",
    "waiting": "while it waited for an input",
    "training": "while it trained",
}
_REASON: Final = "killed by its user"


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}/runs/{run}", tags=["runs"])
    add: Any = routes.add_api_route
    add("/kill", kill, methods=["POST"], summary="End a run")
    return routes


async def kill(run: RunRecord, wired: Wired) -> Run:
    """The run as it is then: `killed`; its processes are told to end, and what they said until then is kept.

    Harmless to repeat. 409 `run.final` where the run has ended otherwise.
    """
    ended = await end(wired, run)
    if ended.state != "killed":
        raise Conflict("run.final", f"Run {run.id} is over ({ended.state}): there is nothing to kill.")
    return ended


async def end(wired: Services, run: Run) -> Run:
    """Ends the run unless it is final, and stops its jobs where it is killed. Returns its record.

    The record first: from then on no handler launches anything for it (shared/launch.py), so that what is stopped
    afterwards is all there is.
    """

    def explain(record: Run) -> None:
        record.error = Failure(code="run.killed", message=f"It was killed {_WHILE[record.state]}.")

    ended = await advance(wired.bus, wired.runs, run.workspace, run.id, "killed", explain)
    if ended.state == "killed":
        await asyncio.gather(*(_stop(wired, ended, stage) for stage in get_args(Stage)))
        await (await wired.bus.waiting()).remove(run.workspace, run.id)
    return ended


async def _stop(wired: Services, run: Run, stage: Stage) -> None:
    """Stops a job that is under way. One that was claimed and never came to be is forgotten."""
    job = run.stage(stage)
    if not job.job or job.finished is not None or job.state == "succeeded":
        return

    def forget(record: Run) -> None:
        if record.stage(stage).job == job.job:
            record.set_stage(stage, type(job)())

    if not await stop(run, stage, _REASON, pachyderm=wired.pachyderm, jobs=await wired.bus.jobs()):
        await wired.runs.update(run.workspace, run.id, forget)
