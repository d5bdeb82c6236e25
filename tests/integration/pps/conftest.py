"""An engine of its own process, an image of nothing but the host's system, and pipelines over small repos."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from python_pachyderm import Client
from python_pachyderm.proto.v2.pps import pps_pb2

from shared.images import Image, ImageStore
from shared.pachyderm import commit_of


class Engine:
    """A running engine, which can be killed and started again on the same state."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.image = _image(ImageStore(home / "images"))
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> None:
        env = {
            "PATH": os.environ["PATH"],
            "PACHD_HOME": str(self.home / "pachd"),
            "PACHD_IMAGES": str(self.home / "images"),
            "PACHD_ADDRESS": self.address or "127.0.0.1:0",
            "PACHD_WORKERS": "4",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kaos.pachd"], env=env, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the engine ended at once"
        self.address = json.loads(line)["address"]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def client(self) -> Client:
        host, _, port = self.address.rpartition(":")
        return Client(host, int(port))

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=10)
        if self._process.stdout:
            self._process.stdout.close()


@dataclass
class Project:
    """A project of one test's own, with repo `in`."""

    client: Client
    name: str
    image: str
    pipelines: list[str] = field(default_factory=list)

    def put(self, files: dict[str, bytes], repo: str = "in", branch: str = "master") -> str:
        """Commits these files in place of all others; the commit's id."""
        commit = self.client.start_commit(repo, branch, project_name=self.name)
        with self.client.modify_file_client(commit) as changes:
            changes.delete_file("/")
            for path, content in files.items():
                changes.put_file_from_bytes(path, content)
        self.client.finish_commit(commit)
        return str(commit.id)

    def pipeline(self, name: str, *script: str, inputs: Any = None, **spec: Any) -> None:
        """Makes a pipeline that runs these lines of shell for each file of repo `in`."""
        transform = {key: spec.pop(key) for key in ("err_cmd", "err_stdin", "accept_return_code", "env") if key in spec}
        self.client.create_pipeline(
            name,
            pps_pb2.Transform(image=self.image, cmd=["sh"], stdin=["set -e", *script], **transform),
            project_name=self.name,
            input=inputs if inputs is not None else self.files("in"),
            datum_tries=spec.pop("datum_tries", 1),
            **spec,
        )
        self.pipelines.append(name)

    def files(self, repo: str, glob: str = "/*", name: str = "") -> Any:
        """An input: a datum for each match."""
        pfs = pps_pb2.PFSInput(project=self.name, name=name, repo=repo, branch="master", glob=glob)
        return pps_pb2.Input(pfs=pfs)

    def newest(self, pipeline: str, *, wait: bool = True) -> Any:
        """The newest job of a pipeline, once it is over."""
        job = next(iter(self.client.list_job(pipeline, project_name=self.name)))
        if not wait:
            return job
        [info] = self.client.inspect_job(job.job.id, pipeline, project_name=self.name, wait=True, details=True)
        return info

    def output(self, pipeline: str, job: str) -> dict[str, bytes]:
        """Every file that a job has written."""
        commit = commit_of(self.name, pipeline, job)
        paths = [str(info.file.path) for info in self.client.walk_file(commit, "/") if not info.file.path.endswith("/")]
        return {path: self.client.get_file(commit, path).read() for path in paths}

    def lines(self, pipeline: str, job: str, **options: Any) -> list[str]:
        """What user code of a job has said."""
        logs = self.client.get_job_logs(pipeline, job, project_name=self.name, **options)
        return [message.message for message in logs if message.user]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="kaos-engine-") as directory:
        engine = Engine(Path(directory))
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()


@pytest.fixture
def project(engine: Engine) -> Iterator[Project]:
    yield from project_of(engine)


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    """An engine that a test may kill."""
    with tempfile.TemporaryDirectory(prefix="kaos-engine-") as directory:
        engine = Engine(Path(directory))
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()


def project_of(engine: Engine) -> Iterator[Project]:
    client = engine.client()
    name = f"test-{uuid.uuid4().hex[:12]}"
    client.create_project(name)
    client.create_repo("in", project_name=name)
    project = Project(client, name, engine.image)
    yield project
    # Whatever a test leaves running must not keep the next one's slots.
    for pipeline in reversed(project.pipelines):
        engine.client().delete_pipeline(pipeline, force=True, project_name=name)


def _image(store: ImageStore) -> str:
    # Of the standard library alone, and the interpreter that every Debian has.
    path = "/usr/local/bin:/usr/bin:/bin"
    image = Image.sealed(layers=(), environment=None, python="/usr/bin/python3", env={"PATH": path})
    store.put(image)
    return f"host@sha256:{image.digest}"
