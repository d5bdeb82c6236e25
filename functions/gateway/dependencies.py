"""What routes are given: the services, the checked names of the path, and a strictly read body."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from functions.gateway import strict_json
from functions.gateway.errors import Refused, sentence
from shared.bucket import Bucket
from shared.bus import Bus
from shared.errors import NotFound
from shared.names import is_run, workspace_name
from shared.pachyderm import Pachyderm
from shared.runs import Run, Runs
from shared.settings import Settings

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Services:
    """The connections that one app is made with."""

    settings: Settings
    bus: Bus
    runs: Runs
    pachyderm: Pachyderm
    bucket: Bucket


async def services(request: Request) -> Services:
    """The services of the app that serves this request."""
    wired: Services = request.app.state.services
    return wired


Wired = Annotated[Services, Depends(services)]


async def workspace(ws: str) -> str:
    """The workspace named in the path. Raises Reject `workspace.name`."""
    return workspace_name(ws)


WorkspaceName = Annotated[str, Depends(workspace)]


async def run_record(ws: WorkspaceName, run: str, wired: Wired) -> Run:
    """The record of the run named in the path. Raises NotFound `run.unknown`."""
    if not is_run(run):
        raise NotFound("run.unknown", f"{run[:40]!r} is not the id of a run: `kaos train list` shows them.")
    return await wired.runs.get(ws, run)


RunRecord = Annotated[Run, Depends(run_record)]


def body_of(model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A dependency that reads the body as `model`, after authentication and under the limits of strict_json."""

    async def read(request: Request) -> M:
        value = strict_json.parse(await strict_json.read(request))
        try:
            return model.model_validate(value)
        except ValidationError as error:
            found = "; ".join(sentence(detail) for detail in error.errors(include_input=False)[:5])
            raise Refused(400, "request.invalid", f"The body is not as /docs tells: {found}.") from None

    return read


def documents(model: type[BaseModel]) -> dict[str, Any]:
    """What tells the OpenAPI document of a body that is read by `body_of(model)`."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
