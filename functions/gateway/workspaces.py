"""Making and listing workspaces."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from functions.gateway.dependencies import Services, Wired, WorkspaceName
from shared import workspaces
from shared.errors import NotFound
from shared.runs import Inputs, Run
from shared.workspaces import Workspace


class WorkspaceList(BaseModel):
    """All workspaces, by name."""

    workspaces: list[Workspace]


class WorkspaceShown(BaseModel):
    """A workspace, how many runs it has had, and what the newest training used: what the next one will inherit."""

    name: str
    created: datetime
    ending: bool
    runs: int
    inputs: Inputs


def router() -> APIRouter:
    """The routes of workspaces."""
    routes = APIRouter(prefix="/v1/workspaces", tags=["workspaces"])
    add: Any = routes.add_api_route
    add("", every, methods=["GET"], summary="All workspaces")
    add("/{ws}", create, methods=["PUT"], summary="Make a workspace", responses={201: {"model": Workspace}})
    add("/{ws}", show, methods=["GET"], summary="A workspace")
    return routes


async def every(wired: Wired) -> WorkspaceList:
    """All workspaces."""
    return WorkspaceList(workspaces=await workspaces.every(wired.bus))


async def create(ws: WorkspaceName, wired: Wired, response: Response) -> Workspace:
    """201 where it was made, 200 where it was there. 409 `workspace.ending` while it is being deleted."""
    if await workspaces.find(wired.bus, ws) is None:
        response.status_code = 201
    return await workspaces.ensure(wired.pachyderm, wired.bus, ws)


async def show(ws: WorkspaceName, wired: Wired) -> WorkspaceShown:
    """One workspace."""
    found = await existing(wired, ws)
    runs = await wired.runs.list(ws)
    return WorkspaceShown(**found.model_dump(), runs=len(runs), inputs=_inherited(runs))


async def existing(wired: Services, name: str) -> Workspace:
    """The workspace. Raises NotFound `workspace.unknown`."""
    found = await workspaces.find(wired.bus, name)
    if found is None:
        raise NotFound(
            "workspace.unknown", f"There is no workspace {name}: `kaos workspace create -n {name}` makes it."
        )
    return found


def _inherited(runs: list[Run]) -> Inputs:
    return next((run.inputs for run in runs if run.inputs.image), Inputs())
