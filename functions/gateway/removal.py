"""DELETE /v1/workspaces/{ws}: ends a workspace and all that is in it; and what that would be."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc
from fastapi import APIRouter
from pydantic import BaseModel
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from functions.gateway.dependencies import Services, Wired, WorkspaceName
from functions.gateway.kill import end
from functions.gateway.workspaces import existing
from shared import workspaces
from shared.bucket import Bucket
from shared.pachyderm import is_code
from shared.runs import FINAL, Run

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Killing a run takes a few requests; so many at once are as fast as Pachyderm is.
_KILLED_AT_ONCE: Final = 16


class Contents(BaseModel):
    """What a workspace holds. Bytes: the newest version in each of Pachyderm's repos, objects of the inbox, logs."""

    name: str
    runs: int
    unfinished: int
    models: int
    pachyderm_bytes: int
    inbox_bytes: int
    log_bytes: int


class Removed(BaseModel):
    """What is gone: the workspace, its runs, and how many of those were killed for it."""

    name: str
    runs: int
    killed: int


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}", tags=["workspaces"])
    add: Any = routes.add_api_route
    add("", remove, methods=["DELETE"], summary="Delete a workspace and all that is in it")
    add("/contents", contents, methods=["GET"], summary="What deleting it would delete")
    return routes


async def contents(ws: WorkspaceName, wired: Wired) -> Contents:
    """Counts and sizes; large workspaces take a while."""
    await existing(wired, ws)
    settings = wired.settings
    runs, stored, inbox, logs = await asyncio.gather(
        wired.runs.list(ws),
        wired.pachyderm.call(lambda client: sum(repo.size_bytes_upper_bound for repo in _repos(client, ws))),
        wired.bucket.call(lambda client: _size(client, settings.inbox_bucket, ws)),
        wired.bucket.call(lambda client: _size(client, settings.logs_bucket, ws)),
    )
    return Contents(
        name=ws,
        runs=len(runs),
        unfinished=sum(run.state not in FINAL for run in runs),
        models=len(await _models(wired, runs)),
        pachyderm_bytes=stored,
        inbox_bytes=inbox,
        log_bytes=logs,
    )


async def remove(ws: WorkspaceName, wired: Wired) -> Removed:
    """Deletes it. What broke off is ended by asking again: its entry goes last, and each step is harmless to repeat.

    Nothing new comes in once it has begun. The records go before the objects, so that nobody collects a log of a run
    that is gone; the claims on objects after them, so that no sweep takes one for new.
    """
    await workspaces.begin_end(wired.bus, ws)
    runs = await wired.runs.list(ws)
    killed = await _kill(wired, [run for run in runs if run.state not in FINAL])
    await wired.pachyderm.call(lambda client: _delete_project(client, ws))
    await wired.bus.forget(ws)
    for bucket in (wired.settings.inbox_bucket, wired.settings.logs_bucket):
        await _delete_objects(wired.bucket, bucket, f"{ws}/")
    await (await wired.bus.objects()).forget(ws)
    await workspaces.forget(wired.bus, ws)
    return Removed(name=ws, runs=len(runs), killed=killed)


async def _models(wired: Services, runs: list[Run]) -> set[str]:
    trials = await wired.bus.trials()
    return {trial.model for run in runs for trial in await trials.of(run) if trial.model}


async def _kill(wired: Services, unfinished: list[Run]) -> int:
    """Ends these runs; returns how many there were."""
    room = asyncio.Semaphore(_KILLED_AT_ONCE)

    async def one(run: Run) -> None:
        async with room:
            await end(wired, run)

    await asyncio.gather(*map(one, unfinished))
    return len(unfinished)


def _delete_project(client: Client, name: str) -> None:
    """The project with its pipelines, whose jobs that kills, and its repos."""
    # Names would do by the client's types; it wants messages.
    for pipeline in list(client.list_pipeline(projects_filter=[pfs_pb2.Project(name=name)])):
        client.delete_pipeline(pipeline.pipeline.name, force=True, project_name=name)
    for repo in _repos(client, name):
        client.delete_repo(repo.repo.name, force=True, project_name=name)
    try:
        client.delete_project(name, force=True)
    except grpc.RpcError as error:
        if not is_code(error, grpc.StatusCode.NOT_FOUND):
            raise


def _repos(client: Client, workspace: str) -> list[Any]:
    return list(client.list_repo(projects_filter=[pfs_pb2.Project(name=workspace)]))


def _size(client: "S3Client", bucket: str, workspace: str) -> int:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{workspace}/")
    return sum(stored["Size"] for page in pages for stored in page.get("Contents", []))


async def _delete_objects(store: Bucket, bucket: str, prefix: str) -> None:
    """Every object below the prefix, a page of 1,000 at a time, and what was uploaded of others.

    One request each: for one of many, boto3 no longer sends the MD5 that the stores beside AWS ask for.
    """
    while found := await store.call(
        lambda client: client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents")
    ):
        await asyncio.gather(*(store.call(partial(_delete, bucket, stored["Key"])) for stored in found))
    await store.call(lambda client: _abort_uploads(client, bucket, prefix))


def _delete(bucket: str, key: str, client: "S3Client") -> None:
    client.delete_object(Bucket=bucket, Key=key)


def _abort_uploads(client: "S3Client", bucket: str, prefix: str) -> None:
    for upload in client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
