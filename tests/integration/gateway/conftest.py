"""The gateway over HTTP, with a real NATS, a real object store that notifies it, and the wire of Pachyderm."""

import asyncio
import json
import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
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

RUN = "01jd0000000000000000000000"
WEBHOOK_TOKEN, API_TOKEN, STORE_KEY = "sesame", "open", "kaos-store-key"


@dataclass
class Tree(pfs_pb2_grpc.APIServicer):  # type: ignore[misc]
    """Serves the few calls that the gateway makes of Pachyderm, from what a test puts in."""

    tars: dict[tuple[str, str, str], list[bytes]] = field(default_factory=dict)  # (repo, commit, path): messages
    provenance: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
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
        return pfs_pb2.CommitInfo(commit=request.commit, direct_provenance=upstream)

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

    async def a_run(self, **changes: Any) -> Run:
        """A record, as a submission of source leaves it."""
        record = {"workspace": "mnist", "id": RUN, "created": datetime.now(UTC), "expected": ("source",)}
        run = Run.model_validate(record | changes)
        assert await self.runs.create(run)
        return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def port() -> int:
    """Where the gateway listens in every test: the store must know it when it starts."""
    return free_port()


@pytest.fixture(scope="session")
def store_url(port: int) -> Iterator[str]:
    """JuiceFS's S3 gateway, which tells the webhook of every object."""
    binary = str(Path(sysconfig.get_path("scripts")) / "juicefs")
    with tempfile.TemporaryDirectory(prefix="kaos-s3-") as directory:
        meta, listen = f"sqlite3://{directory}/meta.db", f"127.0.0.1:{free_port()}"
        volume = ["--storage", "file", "--bucket", f"{directory}/data/", "--trash-days", "0", meta, "vol"]
        subprocess.run([binary, "format", *volume], check=True, capture_output=True)
        environment = os.environ | {
            "MINIO_ROOT_USER": STORE_KEY,
            "MINIO_ROOT_PASSWORD": STORE_KEY,
            "MINIO_NOTIFY_WEBHOOK_ENABLE_FAST": "on",
            "MINIO_NOTIFY_WEBHOOK_ENDPOINT_FAST": f"http://127.0.0.1:{port}/webhooks/s3",
            "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_FAST": WEBHOOK_TOKEN,
        }
        options = ["--no-usage-report", "--no-banner", "--log", f"{directory}/log", "--cache-dir", f"{directory}/cache"]
        options += ["--metrics", f"127.0.0.1:{free_port()}", "--multi-buckets", "--keep-etag", "--object-meta"]
        command = [binary, "gateway", *options, "--object-tag", meta, listen]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=environment, **quiet) as server:
            try:
                _wait(f"http://{listen}/", server)
                yield f"http://{listen}"
            finally:
                server.terminate()
                server.wait(timeout=10)


@pytest.fixture(scope="session")
def store(store_url: str) -> Any:
    """A boto3 client of a store with both buckets, of which the inbox notifies."""
    settings = _settings(store_url, "127.0.0.1:1")
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
async def api(bus: Bus, store_url: str, store: Any, tree: Tree, port: int) -> AsyncIterator[Api]:
    """The gateway, served by uvicorn in this loop; workspace mnist exists."""
    settings = _settings(store_url, tree.address)  # type: ignore[attr-defined]
    bucket, pachyderm, runs = shared.bucket.connect(settings), shared.pachyderm.connect(settings), await bus.runs()
    served = app(settings=settings, bus=bus, runs=runs, pachyderm=pachyderm, bucket=bucket)
    # A socket that listens already: who asks before uvicorn is ready waits in its backlog.
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


def _settings(store_url: str, pachyderm: str) -> Settings:
    return Settings.model_validate(
        {
            "pachyderm_address": pachyderm,
            "s3_endpoint": store_url,
            "s3_access_key": STORE_KEY,
            "s3_secret_key": STORE_KEY,
            "api_token": API_TOKEN,
            "webhook_token": WEBHOOK_TOKEN,
        }
    )


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert server.poll() is None, "juicefs ended at once"
        try:
            urllib3.request("GET", url, retries=False, timeout=1)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.02)  # until it listens
        else:
            return
    raise AssertionError("juicefs did not answer within 20 s")
