"""GET …/files/{what}: a run's code, data or models, streamed out of Pachyderm as a tar."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, Literal, cast

import grpc
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2

from functions.gateway import archive
from functions.gateway.blocks import stepped
from functions.gateway.dependencies import RunRecord, Services, Wired
from functions.gateway.lineage import walk
from shared.errors import NotFound
from shared.pachyderm import Pachyderm, commit_of, is_code
from shared.runs import Part, Run

What = Literal["code", "data", "model"]

# Where a run's input may lie: as dropped, or as fetched from a manifest (shared.manifests.fetch_pipeline).
_REPOS: Final[dict[What, re.Pattern[str]]] = {"code": re.compile("source"), "data": re.compile("data|fetch-.*")}


def router() -> APIRouter:
    """The downloads."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}/runs/{run}", tags=["files"])
    add = routes.add_api_route
    add("/files/{what}", download, methods=["GET"], response_class=StreamingResponse, summary="Download as a tar")
    return routes


async def download(
    run: RunRecord,
    what: What,
    wired: Wired,
    trial: Annotated[str, Query(max_length=200, description="One trial's model: its id, or the model's.")] = "",
) -> StreamingResponse:
    """`code` and `data` as the run used them, under the bundle's name; `model` under each model's id.

    404 where the run has none (yet). A download that breaks off ends without the end of its chunks.
    """
    if what == "model":
        commit, path, names = await _models(wired, run, trial)
    else:
        commit, path, names = await _input(wired.pachyderm, run, what), "/", None
    blocks = _stream(wired.pachyderm, commit, path, lambda name: _renamed(name, names))
    try:
        first = await anext(blocks)  # before the headers: what does not exist must be a 404
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            raise NotFound("files.unknown", f"Pachyderm no longer has the {what} of run {run.id}.") from None
        raise
    headers = {"Content-Disposition": f'attachment; filename="{run.workspace}-{run.id}-{what}.tar"'}
    return StreamingResponse(_chained(first, blocks), media_type="application/x-tar", headers=headers)


async def _models(wired: Services, run: Run, wanted: str) -> tuple[Any, str, dict[str, str]]:
    """The output commit, the path to read, and the model id of each trial's directory."""
    trials = await (await wired.bus.trials()).of(run)
    names = {trial.id: trial.model for trial in trials if trial.model and wanted in {"", trial.id, trial.model}}
    if not names and wanted:
        raise NotFound("trial.unknown", f"Run {run.id} has no model {wanted[:80]!r}: `kaos train info` lists them.")
    if not names or not run.train.job:
        raise NotFound("model.none", f"Run {run.id} is {run.state} and has no model: `kaos train info` tells more.")
    commit = commit_of(run.workspace, run.train.pipeline, run.train.job)
    return commit, f"/{next(iter(names))}" if wanted else "/", names


async def _input(pachyderm: Pachyderm, run: Run, what: What) -> Any:
    """The commit that the run brought, or the one its training used."""
    kind: Literal["source", "data"] = "source" if what == "code" else "data"
    part = run.parts.get(kind, Part(kind=kind))
    if part.commit:
        return commit_of(run.workspace, kind, part.commit)
    commit = await pachyderm.call(lambda client: _used(client, run, _REPOS[what])) if run.train.job else None
    if commit is None:
        raise NotFound("files.none", f"Run {run.id} is {run.state} and has no {what} yet.")
    return commit


def _used(client: Client, run: Run, repos: re.Pattern[str]) -> Any:
    """The nearest commit of `repos` upstream of the training's output; None where the job made none."""
    steps = walk(client, run.workspace, run.train.pipeline, run.train.job)
    return next(
        (commit_of(run.workspace, step.repo, step.commit) for step in steps if repos.fullmatch(step.repo)), None
    )


def _renamed(name: str, models: dict[str, str] | None) -> str:
    """`mnist:e23a2f1/model/train` to `mnist/model/train`, or `cebf65/…` to the model's id; "" leaves it out."""
    top, slash, rest = name.partition("/")
    if ".." in rest.split("/"):
        return ""
    known = top.partition(":")[0] if models is None else models.get(top, "")
    return known and known + slash + rest


class _Received:
    """The bytes of a stream of messages, to be read by a worker thread while the event loop receives them."""

    def __init__(self, call: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._loop = loop

    def read(self, _: int = -1) -> bytes:
        """The next message's bytes, b"" at the end. Raises grpc.RpcError where the stream fails."""
        while True:
            message = asyncio.run_coroutine_threadsafe(self._call.read(), self._loop).result()
            if message is grpc.aio.EOF:
                return b""
            if message.value:
                return cast("bytes", message.value)


async def _stream(pachyderm: Pachyderm, commit: Any, path: str, rename: archive.Rename) -> AsyncGenerator[bytes, None]:
    request = pfs_pb2.GetFileRequest(file=pfs_pb2.File(commit=commit, path=path))
    call = pachyderm.pfs.GetFileTAR(request, metadata=pachyderm.metadata)
    source = _Received(call, asyncio.get_running_loop())
    try:
        async for block in stepped(archive.renamed(source, rename)):
            yield block
    finally:
        call.cancel()


async def _chained(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for block in rest:
            yield block
    finally:
        await rest.aclose()
