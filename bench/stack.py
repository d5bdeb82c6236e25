"""The stack that is measured: a home of its own, started and stopped by the command line as a user would."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kaos.cli import state, upload
from kaos.cli.client import Client
from kaos.cli.content import FileContent
from kaos.cli.wire import FINAL, Event, Run

KAOS = Path(sys.executable).with_name("kaos")
WORKSPACE = "bench"


@dataclass(frozen=True)
class Stack:
    """A running stack; `env` makes the command line talk to it."""

    home: Path
    env: dict[str, str]
    cold_seconds: float
    client: Client

    def kaos(self, *arguments: str) -> str:
        """Runs the command line; its standard output. Raises CalledProcessError."""
        return kaos(self.env, *arguments)

    def submit(self, parts: dict[str, bytes], names: dict[str, str] | None = None, **options: object) -> Run:
        """Announces a run through the API and uploads its parts."""
        names = names or {}
        wanted: list[dict[str, object]] = [
            {"kind": kind, "filename": names.get(kind, f"bench-{kind}.tar"), "size": len(content)}
            for kind, content in parts.items()
        ]
        submitted = self.client.submit(WORKSPACE, {"parts": wanted, "options": options})
        with tempfile.TemporaryDirectory() as folder:
            for target in submitted["uploads"]:
                path = Path(folder, target["kind"])
                path.write_bytes(parts[target["kind"]])
                etags = upload.put(target, FileContent(path), lambda _: None)
                if target["multipart"] is not None:
                    self.client.complete(submitted["run"], target["key"], target["multipart"]["upload_id"], etags)
        return submitted["run"]

    def events(self, run: Run) -> list[Event]:
        """Every event of a run, once it is over."""
        return list(self.client.events(WORKSPACE, run["id"], follow=True))

    def finished(self, run: Run) -> Run:
        """The run, once it is over. Raises RuntimeError unless it succeeded."""
        for _ in self.client.events(WORKSPACE, run["id"], follow=True):
            pass
        found = self.client.run(WORKSPACE, run["id"])
        if found["state"] not in FINAL or found["state"] != "succeeded":
            raise RuntimeError(f"run {run['id']} is {found['state']}: {found['error']}")
        return found

    def memory(self) -> dict[str, int]:
        """Resident bytes of each server."""
        status: dict[str, Any] = json.loads(self.kaos("status", "--json"))
        return {server["name"]: int(server["memory"]) for server in status["servers"]}


def moment(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time."""
    return datetime.fromisoformat(text).timestamp()


def kaos(env: dict[str, str], *arguments: str) -> str:
    """Runs the command line; its standard output. Raises CalledProcessError."""
    done = subprocess.run([str(KAOS), *arguments], env=env, check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def started() -> Iterator[Stack]:
    """A stack in a new home, until the block ends."""
    home = Path(tempfile.mkdtemp(prefix="kaos-bench-"))
    # Manifests may lead to this machine, where the site of the benchmark is.
    env = {**os.environ, "KAOS_HOME": str(home), "KAOS_FETCH_ALLOW": "127.0.0.1/32"}
    try:
        began = time.perf_counter()
        kaos(env, "up", "--detach")
        cold = time.perf_counter() - began
        client = Client(state.connection(home, {}))
        client.make_workspace(WORKSPACE)
        yield Stack(home, env, cold, client)
    finally:
        subprocess.run([str(KAOS), "down"], env=env, check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
