"""A whole stack, started as a user starts it. Whatever a test does to it, the next one finds it up."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import nats
import pytest
from nats.js import JetStreamContext

from kaos.stack.home import Home, secrets_of
from kaos.stack.status import Status, look

# Warm, the stack is up in 3 s. CI's disks are cold, and its cores are busy.
BOUND = 60.0
KAOS = (sys.executable, "-c", "from kaos.cli.main import main; main()")


@dataclass(frozen=True)
class Stack:
    """The command line with a KAOS_HOME."""

    root: Path

    @property
    def home(self) -> Home:
        return Home(self.root)

    @property
    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "KAOS_HOME": str(self.root)}

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*KAOS, *arguments], env=self.environment, capture_output=True, text=True, timeout=BOUND, check=False
        )

    def up(self, *arguments: str) -> None:
        done = self.call("up", "--detach", *arguments)
        assert done.returncode == 0, done.stderr

    def status(self) -> Status | None:
        return asyncio.run(look(self.home))

    def known(self) -> Status:
        found = self.status()
        assert found is not None
        return found

    def pids(self) -> dict[str, int]:
        """Of every process of the stack; the supervisor's too."""
        found = self.known()
        return {"supervisor": found.pid, **{each.name: each.pid for each in found.servers if each.pid}}

    def credentials(self) -> Any:
        return json.loads(self.call("status", "--credentials", "--json").stdout)

    def store(self) -> Any:
        """The object store, as a user's own client."""
        found = self.credentials()
        return boto3.client(
            "s3",
            endpoint_url=found["AWS_ENDPOINT_URL"],
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
            region_name=found["AWS_DEFAULT_REGION"],
        )

    def in_nats(self, work: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
        """Does the work as the functions' own user."""
        port, password = self.known().ports.nats, secrets_of(self.home).nats_password

        async def run() -> Any:
            client = await nats.connect(f"nats://kaos:{password}@127.0.0.1:{port}")
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())


def until(condition: Callable[[], Any], seconds: float = BOUND) -> Any:
    """What the condition gives as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)  # other processes send this one no event
    return found


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(scope="session")
def _session_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("kaos") / "home")
    yield made
    for process in made.pids().values() if made.status() else ():
        os.kill(process, signal.SIGCONT)
    done = made.call("down")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def stack(_session_stack: Stack) -> Stack:
    """A stack that is up and well."""
    if _session_stack.status() is None:
        _session_stack.up()
    until(lambda: (found := _session_stack.status()) and found.well)
    return _session_stack


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Stack]:
    """A home with nothing in it, for a stack that won't come up."""
    made = Stack(tmp_path / "other")
    yield made
    made.call("down")
