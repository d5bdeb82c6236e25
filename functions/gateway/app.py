"""Composes the gateway: a FastAPI app that is given its connections and holds nothing else."""

from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from functions.gateway.authentication import api_caller
from functions.gateway.dependencies import Services, Wired
from functions.gateway.errors import handle_errors
from functions.gateway.events import router as events
from functions.gateway.files import router as files
from functions.gateway.kill import router as kill
from functions.gateway.logs import router as logs
from functions.gateway.page import router as page
from functions.gateway.preview import router as preview
from functions.gateway.provenance import router as provenance
from functions.gateway.removal import router as removal
from functions.gateway.retry import router as retry
from functions.gateway.runs import router as run_records
from functions.gateway.trials import router as trials
from functions.gateway.uploads import router as uploads
from functions.gateway.webhooks import router as webhooks
from functions.gateway.workspaces import router as workspaces
from shared.bucket import Bucket
from shared.bus import Bus
from shared.pachyderm import Pachyderm
from shared.runs import Runs
from shared.settings import Settings


class Info(BaseModel):
    """What a client needs to know of the stack behind the gateway."""

    version: str
    nats_url: str
    s3_endpoint: str
    inbox_bucket: str


def app(*, settings: Settings, bus: Bus, runs: Runs, pachyderm: Pachyderm, bucket: Bucket) -> FastAPI:
    """The HTTP API over the connections given; whoever opened them closes them."""
    api = FastAPI(
        title="kaos",
        version=version("kaos"),
        summary="Source bundle + data bundle = trained model.",
        docs_url=None,  # page.py serves it
        redoc_url=None,
    )
    api.state.services = Services(settings, bus.named("gateway"), runs, pachyderm, bucket)
    handle_errors(api)
    api.include_router(page())
    api.add_api_route("/healthz", health, methods=["GET"], tags=["about"], summary="Whether the gateway serves")
    api.include_router(webhooks())
    guarded = APIRouter(dependencies=[Depends(api_caller)])
    guarded.add_api_route("/v1/info", info, methods=["GET"], tags=["about"], summary="What is behind the gateway")
    ways_in, ways_out = (workspaces, removal, preview, uploads), (logs, events, files, provenance)
    for routes in (*ways_in, run_records, kill, retry, trials, *ways_out):
        guarded.include_router(routes())
    api.include_router(guarded)
    return api


async def health() -> dict[str, str]:
    """Answers as long as the process does; what it depends on, `kaos status` tells."""
    return {"status": "ok"}


async def info(wired: Wired) -> Info:
    """Addresses, without secrets."""
    settings = wired.settings
    return Info(
        version=version("kaos"),
        nats_url=settings.nats_url,
        s3_endpoint=settings.s3_endpoint,
        inbox_bucket=settings.inbox_bucket,
    )
