"""The command line against a whole stack: real servers, real builds, real training, one stack for all tests."""

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from kaos.cli import state

KAOS = Path(sys.executable).with_name("kaos")
# A run of trivial work takes well under a second; a machine that does much else beside it, longer.
BOUND = 90.0
# Where web sites of tests may be: all of 127/8 is loopback, and this one is nobody else's.
ALLOWED = "127.0.0.2"

DOCKERFILE = "FROM python:3\nWORKDIR /opt/program\nCOPY . /opt/program/\nRUN chmod +x train\n"
TRAIN = """#!/usr/bin/env python3
import json, pathlib, sys
out = pathlib.Path(sys.argv[1])
[bundle] = pathlib.Path("/pfs/data").iterdir()
[params] = [json.loads(path.read_text()) for path in pathlib.Path("/pfs/hyper").glob("**/*.json")]
number = int((bundle / "number.txt").read_text()) + int(params.get("add", 0))
print("number", number)
(out / "model").mkdir(parents=True)
(out / "model" / "model.txt").write_text(str(number))
(out / "metrics").mkdir()
(out / "metrics" / "metrics.json").write_text(json.dumps({"number": number, "loss": -number}))
"""


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    home: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "KAOS_HOME": str(self.home), "KAOS_FETCH_ALLOW": f"{ALLOWED}/32"}

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([str(KAOS), *arguments], env=self.env, capture_output=True, text=True, check=False)

    def credentials(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.call("status", "--credentials", "--json").stdout)
        return found

    def pids(self) -> dict[str, int]:
        status = json.loads(self.call("status", "--json").stdout)
        return {server["name"]: server["pid"] for server in status["servers"] if server["pid"]}


@dataclass(frozen=True)
class User:
    """Somebody at a terminal with a workspace of their own: nothing of other tests is seen or remembered."""

    stack: Stack
    home: Path
    workspace: str

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Types `kaos …`; what came of it."""
        known = state.connection(self.stack.home, {})
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KAOS_")},
            "KAOS_HOME": str(self.home),
            "KAOS_ENDPOINT": known.endpoint,
            "KAOS_TOKEN": known.token,
        }
        return subprocess.run(
            [str(KAOS), *arguments], env=env, cwd=self.home, capture_output=True, text=True, check=False, timeout=BOUND
        )

    def kaos(self, *arguments: str) -> str:
        """Types `kaos …`, which must succeed; what it wrote."""
        done = self.call(*arguments)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The answer for programs."""
        return json.loads(self.kaos(*arguments, "--json"))

    def newest(self) -> Any:
        """The newest run."""
        return self.json("train", "info")

    def ended(self, run: str = "") -> Any:
        """The newest run (or that one), once it is over."""
        deadline = time.monotonic() + BOUND
        while True:
            found = self.json("train", "info", *(("-r", run) if run else ()))
            if found["state"] in {"succeeded", "failed", "killed", "rejected"}:
                return found
            assert time.monotonic() < deadline, f"the run is still {found['state']}"
            time.sleep(0.05)  # the command line is asked again and again, as a person would

    def source(
        self, train: str = TRAIN, *, dockerfile: str = DOCKERFILE, requirements: str = "", name: str = "mine"
    ) -> str:
        """A source bundle; its directory."""
        root = self.home / name
        (root / "model").mkdir(parents=True, exist_ok=True)
        (root / "Dockerfile").write_text(dockerfile)
        (root / "model" / "requirements.txt").write_text(requirements)
        (root / "model" / "train").write_text(train)
        return str(root)

    def data(self, number: int = 1, *, name: str = "numbers") -> str:
        """A data bundle; its directory."""
        root = self.home / name
        root.mkdir(exist_ok=True)
        (root / "number.txt").write_text(str(number))
        return str(root)

    def params(self, **axes: object) -> str:
        """A file of hyperparameters."""
        path = self.home / "params.json"
        path.write_text(json.dumps(axes))
        return str(path)

    def deploy(self, *arguments: str) -> Any:
        """Deploys and waits until the run is over; the run."""
        self.call("train", "deploy", *arguments, "--follow")
        return self.newest()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="kaos-e2e-") as directory:
        stack = Stack(Path(directory))
        started = stack.call("up", "--detach")
        assert started.returncode == 0, started.stderr
        try:
            yield stack
        finally:
            stack.call("down")


@pytest.fixture
def someone(stack: Stack) -> Iterator[Callable[[], User]]:
    """Makes users."""
    with tempfile.TemporaryDirectory(prefix="kaos-user-") as directory:

        def make() -> User:
            name = f"ws-{uuid.uuid4().hex[:10]}"
            home = Path(directory, name)
            home.mkdir()
            user = User(stack, home, name)
            user.kaos("workspace", "create", "-n", name)
            return user

        yield make


@pytest.fixture
def user(someone: Callable[[], User]) -> User:
    return someone()


@pytest.fixture
def s3(stack: Stack) -> Iterator[Any]:
    """Any S3 client, with the keys that the stack tells."""
    known = stack.credentials()
    client = boto3.client(
        "s3",
        endpoint_url=known["AWS_ENDPOINT_URL"],
        aws_access_key_id=known["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=known["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )
    yield client
    client.close()
