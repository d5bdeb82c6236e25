"""Builds of small bundles with the real bubblewrap and the real uv, against a package index of files."""

import importlib.util
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from functions.build.builder.__main__ import main
from shared.images import Image, ImageStore
from shared.sandbox import Sandbox, available, start

DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /opt/program
COPY . /opt/program/
RUN chmod +x train
ENV PYTHONUNBUFFERED=TRUE
RUN if [ -f /opt/program/requirements.txt ] ; then pip3 install --no-cache-dir -r /opt/program/requirements.txt; fi
"""


def _packages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_packages", Path(__file__).with_name("packages.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Result:
    status: int
    log: str
    error: dict[str, str]
    report: dict[str, Any]


@dataclass
class Builder:
    """A bundle to change and to build. `store` is shared by all tests, as builds of many users share it."""

    bundle: Path
    out: Path
    store: ImageStore
    capture: pytest.CaptureFixture[str]

    def build(self) -> Result:
        shutil.rmtree(self.out, ignore_errors=True)
        self.capture.readouterr()
        status = main([str(self.bundle), str(self.out)])
        said = self.capture.readouterr()
        error = json.loads(said.err.splitlines()[-1].removeprefix("kaos-error: ")) if said.err else {}
        report = json.loads((self.out / "image.json").read_text()) if status == 0 else {}
        return Result(status, said.out, error, report)

    def dockerfile(self, text: str) -> None:
        (self.bundle / "Dockerfile").write_text(text)

    def image(self, result: Result) -> Image:
        return self.store.resolve(result.report["ref"])

    def run(self, result: Result, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command in the image, as a job would."""
        image = self.image(result)
        layer = self.out / "container"
        for part in ("upper", "work"):
            (layer / part).mkdir(parents=True, exist_ok=True)
        sandbox = Sandbox(image, self.store, layer / "upper", layer / "work", env=image.env, cwd=image.workdir)
        process = start(sandbox, argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate()
        return subprocess.CompletedProcess(argv, process.returncode, out.decode(), err.decode())


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    if reason := available():
        pytest.skip(reason)
    return ImageStore(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "packages"
    _packages().write_all(folder)
    return folder


@pytest.fixture
def builder(
    tmp_path: Path,
    store: ImageStore,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Builder:
    monkeypatch.setenv("KAOS_IMAGES", str(store.root))
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("UV_DEFAULT_INDEX", (index / "registry").as_uri())
    model = tmp_path / "bundle" / "model"
    model.mkdir(parents=True)
    (model / "requirements.txt").write_text("greeting==1.0\n")
    (model / "train").write_text("#!/usr/bin/env python3\nimport greeting\nprint('trained with', greeting.VERSION)\n")
    (model.parent / "Dockerfile").write_text(DOCKERFILE)
    return Builder(tmp_path / "bundle", tmp_path / "out", store, capfd)
