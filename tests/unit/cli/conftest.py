"""The command line as a user calls it, against a gateway on a free port."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kaos.cli.main import kaos, run
from tests.unit.cli.gateway import TOKEN, Gateway, serve


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Gateway]:
    made = Gateway()
    server = serve(made)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("KAOS_ENDPOINT", made.url)
    monkeypatch.setenv("KAOS_TOKEN", TOKEN)
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A KAOS_HOME of this test's own, and nothing in the environment that names a stack."""
    for name in ("KAOS_ENDPOINT", "KAOS_TOKEN", "KAOS_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def call(home: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `kaos` with these arguments."""

    def invoke(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(kaos, [str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return invoke


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The seed's layout: the folder to deploy holds one folder, which holds Dockerfile and model/."""
    model = tmp_path / "mnist/model-train/mnist/model"
    model.mkdir(parents=True)
    (model.parent / "Dockerfile").write_text("FROM python:3.11\n")
    (model / "requirements.txt").write_text("")
    (model / "train").write_text("#!/bin/sh\n")
    (model / "train").chmod(0o755)
    (model / "__pycache__").mkdir()
    (model / "__pycache__/x.pyc").write_text("left by a tool")
    return model.parent.parent


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for part in ("training", "test"):
        folder = tmp_path / "mnist/data/features" / part
        folder.mkdir(parents=True)
        (folder / f"{part}_mini.csv").write_text(f"1,2,{part}\n")
    return tmp_path / "mnist/data"
