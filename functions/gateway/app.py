"""Composes the gateway: a FastAPI app that is given its connections and holds nothing else."""

from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI

from functions.gateway import events, files, logs, runs, uploads, webhooks, workspaces
from functions.gateway.authentication import api_caller
from functions.gateway.dependencies import Services, Wired
from functions.gateway.errors import handle_errors
from shared.bucket import Bucket
from shared.bus import Bus
from shared.pachyderm import Pachyderm
from shared.runs import Runs
from shared.settings import Settings

VERSION: Final = version("kaos")


def app(*, settings: Settings, bus: Bus, runs: Runs, pachyderm: Pachyderm, bucket: Bucket) -> FastAPI:  # noqa: F811
    """The HTTP API over the connections given; whoever opened them closes them."""
    api = FastAPI(title="kaos", version=VERSION, summary="Source bundle + data bundle = trained model.")
    api.state.services = Services(settings, bus.named("gateway"), runs, pachyderm, bucket)
    handle_errors(api)
    api.include_router(_public())
    api.include_router(webhooks.router())
    return api
