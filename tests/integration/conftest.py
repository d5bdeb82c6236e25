"""Real servers on free ports, one of each for the whole test session."""

import json
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.apply import apply
from shared.bus import Bus, connect
from shared.settings import Settings


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
