"""Real servers on free ports, one of each for the whole test session."""

import json
import os
import secrets
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

import shared.bucket
import shared.pachyderm
from deploy.apply import apply
from shared.bucket import Bucket
from shared.bus import Bus, connect
from shared.pachyderm import Pachyderm
from shared.settings import Settings
from tests.integration.engine import Engine


@dataclass(frozen=True)
class StoreServer:
    """An object store. Of the objects in buckets configured so it tells `webhook_port`, where anybody may listen."""

    url: str
    key: str  # access key and secret key
    webhook_port: int
    webhook_token: str


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    """A nats-server with JetStream and nothing in it."""
    binary = Path(sysconfig.get_path("scripts")) / "nats-server"
    with tempfile.TemporaryDirectory(prefix="kaos-nats-") as directory:
        command = [str(binary), "-js", "-sd", directory, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", directory]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                ports = Path(directory) / f"nats-server_{server.pid}.ports"
                deadline = time.monotonic() + 10
                while not (ports.exists() and ports.stat().st_size):
                    assert server.poll() is None, "nats-server ended at once"
                    assert time.monotonic() < deadline, "nats-server wrote no ports file within 10 s"
                    time.sleep(0.005)  # the ports file is the server's only sign of life
                yield json.loads(ports.read_text())["nats"][0]
            finally:
                server.terminate()
                server.wait(timeout=10)


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to a server that has every stream, consumer and bucket, all empty."""
    connected = await connect(Settings(nats_url=nats_url), source="test")
    try:
        for stream in await connected.stream.streams_info():
            await connected.stream.delete_stream(stream.config.name or "")
        await apply(connected.stream)
        yield connected
    finally:
        await connected.close()


@pytest.fixture(scope="session")
def store_server() -> Iterator[StoreServer]:
    """JuiceFS's S3 gateway with nothing in it."""
    binary = str(Path(sysconfig.get_path("scripts")) / "juicefs")
    server = StoreServer(f"http://127.0.0.1:{free_port()}", "kaos-store-key", free_port(), "sesame")
    with tempfile.TemporaryDirectory(prefix="kaos-s3-") as directory:
        meta, listen = f"sqlite3://{directory}/meta.db", server.url.removeprefix("http://")
        volume = ["--storage", "file", "--bucket", f"{directory}/data/", "--trash-days", "0", meta, "vol"]
        subprocess.run([binary, "format", *volume], check=True, capture_output=True)
        environment = os.environ | {
            "MINIO_ROOT_USER": server.key,
            "MINIO_ROOT_PASSWORD": server.key,
            "MINIO_NOTIFY_WEBHOOK_ENABLE_FAST": "on",
            "MINIO_NOTIFY_WEBHOOK_ENDPOINT_FAST": f"http://127.0.0.1:{server.webhook_port}/webhooks/s3",
            "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_FAST": server.webhook_token,
        }
        options = ["--no-usage-report", "--no-banner", "--log", f"{directory}/log", "--cache-dir", f"{directory}/cache"]
        options += ["--metrics", f"127.0.0.1:{free_port()}", "--multi-buckets", "--keep-etag", "--object-meta"]
        command = [binary, "gateway", *options, "--object-tag", meta, listen]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=environment, **quiet) as process:
            try:
                _wait(server.url, process)
                yield server
            finally:
                process.terminate()
                process.wait(timeout=10)


@pytest.fixture
def store_settings(store_server: StoreServer) -> Settings:
    """The store, with an inbox that is this test's own."""
    return Settings.model_validate(
        {
            "s3_endpoint": store_server.url,
            "s3_access_key": store_server.key,
            "s3_secret_key": store_server.key,
            "inbox_bucket": f"inbox-{secrets.token_hex(4)}",
        }
    )


@pytest.fixture
def bucket(store_settings: Settings) -> Iterator[Bucket]:
    """A client of the store, whose inbox is empty and notifies nobody."""
    connected = shared.bucket.connect(store_settings)
    connected.client.create_bucket(Bucket=store_settings.inbox_bucket)
    yield connected
    connected.close()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The embedded engine, shared: each test has its own project in it."""
    started = Engine(tmp_path_factory.mktemp("pachd"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def pachyderm(engine: Engine) -> AsyncIterator[Pachyderm]:
    """A connection to the shared engine."""
    connected = shared.pachyderm.connect(Settings(pachyderm_address=engine.address))
    yield connected
    await connected.close()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
