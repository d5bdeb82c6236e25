"""POST /webhooks/s3: what an object store tells is an event on NATS before it gets its 202."""

import asyncio

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from functions.gateway import notifications, strict_json
from functions.gateway.authentication import webhook_caller
from functions.gateway.dependencies import Wired

log = structlog.get_logger()


def router() -> APIRouter:
    """The routes for object stores, behind the webhook token."""
    routes = APIRouter(prefix="/webhooks", tags=["webhooks"], dependencies=[Depends(webhook_caller)])
    routes.add_api_route("/s3", receive, methods=["POST"], status_code=202, summary="Receive a bucket notification")
    return routes


async def receive(request: Request, wired: Wired) -> JSONResponse:
    """Takes a notification of MinIO, Amazon S3 (bare, SNS, EventBridge) or Ceph RGW.

    A store may tell the same twice (kaos has two targets for it): the event's id makes that one event. Where NATS
    does not acknowledge every event the answer is 503, and the store repeats the whole.
    """
    told = notifications.read(await strict_json.read(request), bucket=wired.settings.inbox_bucket)
    await asyncio.gather(*(wired.bus.forward(event) for event in told.created))
    if told.confirm:
        log.warning("webhook.sns-confirmation", open_this_to_confirm=told.confirm)
    if told.ignored:
        log.info("webhook.ignored", records=told.ignored)
    return JSONResponse({"accepted": len(told.created), "ignored": told.ignored}, 202)
