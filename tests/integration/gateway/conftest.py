"""The gateway over HTTP, with a real NATS, a real object store that notifies it, and the wire of Pachyderm."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import urllib3
import uvicorn
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue
from python_pachyderm.proto.v2.pfs import pfs_pb2, pfs_pb2_grpc

import shared.bucket
import shared.pachyderm
from functions.gateway.app import app
from shared.bus import Bus
from shared.runs import Run, Runs
from shared.settings import Settings
from shared.trials import Trial

RUN = "01jd0000000000000000000000"
API_TOKEN = "open"


@dataclass
class Tree(pfs_pb2_grpc.APIServicer):  # type: ignore[misc]
    """Serves the few calls that the gateway makes of Pachyderm, from what a test puts in."""

    tars: dict[tuple[str, str, str], list[bytes]] = field(default_factory=dict)  # (repo, commit, path): messages
    provenance: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    descriptions: dict[tuple[str, str], str] = field(default_factory=dict)
    parents: dict[tuple[str, str], str] = field(default_factory=dict)
    breaks: bool = False
    projects: list[str] = field(default_factory=list)

    async def CreateProject(self, request: Any, _: Any) -> Any:  # noqa: N802
        self.projects.append(request.project.name)
        return Empty()

    async def CreateRepo(self, request: Any, _: Any) -> Any:  # noqa: N802
        return Empty()

    async def InspectBranch(self, request: Any, _: Any) -> Any:  # noqa: N802
        return pfs_pb2.BranchInfo(branch=request.branch, head=pfs_pb2.Commit(id="0" * 32))

    async def InspectCommit(self, request: Any, context: Any) -> Any:  # noqa: N802
        key = (request.commit.branch.repo.name, request.commit.id)
        if key not in self.provenance:
            await context.abort(grpc.StatusCode.NOT_FOUND, "commit not found")
        upstream = [shared.pachyderm.commit_of("mnist", repo, commit) for repo, commit in self.provenance[key]]
        info = pfs_pb2.CommitInfo(
            commit=request.commit, direct_provenance=upstream, description=self.descriptions.get(key, "")
        )
        if key in self.parents:
            info.parent_commit.CopyFrom(shared.pachyderm.commit_of("mnist", key[0], self.parents[key]))
        return info

    async def GetFileTAR(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        commit = request.file.commit
        key = (commit.branch.repo.name, commit.id, request.file.path)
        if key not in self.tars:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"file {request.file.path} not found")
        for message in self.tars[key]:
            yield BytesValue(value=message)
        if self.breaks:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the disk is gone")


@dataclass
class Api:
    """The gateway at its address, asked by a client that blocks (in threads)."""

    url: str
    runs: Runs
    bus: Bus
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=10, retries=False))

    async def ask(self, method: str, path: str, body: object = None, *, token: str = API_TOKEN) -> tuple[int, Any]:
        def work() -> Any:
            payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            headers = {"Authorization": f"Bearer {token}"}
            return self.pool.request(method, self.url + path, body=payload, headers=headers, timeout=10)

        answer = await asyncio.to_thread(work)
        return answer.status, answer.json()

    async def bytes(self, path: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        answer = await asyncio.to_thread(lambda: self.pool.request("GET", self.url + path, headers=headers, timeout=10))
        return answer.status, answer.data

    async def lines(self, path: str) -> AsyncIterator[Any]:
        """The JSON of each line, as soon as it arrives."""
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        answer = await asyncio.to_thread(
            lambda: self.pool.request("GET", self.url + path, headers=headers, preload_content=False, timeout=10)
        )
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        chunks, rest = answer.read_chunked(), b""
        try:
            while chunk := await asyncio.to_thread(next, chunks, b""):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield json.loads(line)
            assert not rest, "the last line is cut off"
        finally:
            answer.close()

    async def a_run(self, *, trials: Sequence[dict[str, Any]] = (), **changes: Any) -> Run:
        """A record, as a submission of source leaves it; its trials are kept apart."""
        record = {"workspace": "mnist", "id": RUN, "created": datetime.now(UTC), "expected": ("source",)}
        run = Run.model_validate(record | {"trial_count": len(trials)} | changes)
        await (await self.bus.trials()).keep(run.workspace, run.id, [Trial.model_validate(trial) for trial in trials])
        assert await self.runs.create(run)
        return run


@pytest.fixture(scope="session")
def store(store_server: Any) -> Any:
    """A boto3 client of a store with both buckets, of which the inbox notifies."""
    settings = _settings(store_server, "127.0.0.1:1")
    bucket = shared.bucket.connect(settings)
    for name in (settings.inbox_bucket, settings.logs_bucket):
        bucket.client.create_bucket(Bucket=name)
    bucket.client.put_bucket_notification_configuration(
        Bucket=settings.inbox_bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": "arn:minio:sqs::FAST:webhook", "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    yield bucket.client
    bucket.close()


@pytest.fixture
async def tree() -> AsyncIterator[Tree]:
    """What Pachyderm holds."""
    served = Tree()
    server = grpc.aio.server()
    served.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"  # type: ignore[attr-defined]
    pfs_pb2_grpc.add_APIServicer_to_server(served, server)
    await server.start()
    yield served
    await server.stop(grace=None)


@pytest.fixture
async def api(bus: Bus, store_server: Any, store: Any, tree: Tree) -> AsyncIterator[Api]:
    """The gateway, served by uvicorn in this loop; workspace mnist exists."""
    settings = _settings(store_server, tree.address)  # type: ignore[attr-defined]
    bucket, pachyderm, runs = shared.bucket.connect(settings), shared.pachyderm.connect(settings), await bus.runs()
    served = app(settings=settings, bus=bus, runs=runs, pachyderm=pachyderm, bucket=bucket)
    # A socket that listens already: who asks before uvicorn is ready waits in its backlog.
    port = store_server.webhook_port
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(served, log_config=None, lifespan="off"))
    running = asyncio.create_task(server.serve([listening]))
    asked = Api(f"http://127.0.0.1:{port}", runs, bus)
    status, _ = await asked.ask("PUT", "/v1/workspaces/mnist")
    assert status == 201
    yield asked
    server.should_exit = server.force_exit = True
    await running
    await pachyderm.close()
    bucket.close()
    asked.pool.clear()


def _settings(store: Any, pachyderm: str) -> Settings:
    return Settings.model_validate(
        {
            "pachyderm_address": pachyderm,
            "s3_endpoint": store.url,
            "s3_access_key": store.key,
            "s3_secret_key": store.key,
            "api_token": API_TOKEN,
            "webhook_token": store.webhook_token,
        }
    )
