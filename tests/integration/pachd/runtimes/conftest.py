"""Containers of a small image made by hand, with the real bubblewrap and the real cgroups of this machine."""

import os
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes import plain as plain_runtime
from kaos.pachd.runtimes import scratch
from kaos.pachd.runtimes.bubblewrap import Bubblewrap
from kaos.pachd.runtimes.cgroups import Cgroups, usable
from kaos.pachd.runtimes.container import Container, Exit, Limits, Runtime
from kaos.pachd.runtimes.plain import Plain
from shared.images import Image, ImageStore
from shared.sandbox import available

TRAIN = """\
#!/usr/bin/env python3
import json, pathlib, sys
hyper = json.loads(next(pathlib.Path("/pfs/hyper").glob("*.json")).read_text())
data = next(pathlib.Path("/pfs/data").iterdir())
out = pathlib.Path(sys.argv[1])
(out / "model").write_text(f"{hyper['rate']} {(data / 'x.csv').read_text()}")
print("trained on", data.name, flush=True)
"""
# A core of these tests is that nothing is left, so the bomb must be small enough to count.
PIDS = 64


@dataclass(frozen=True)
class Result:
    exit: Exit
    output: bytes
    out: Path


@dataclass
class Runner:
    """Runs commands in containers of one runtime, each with an output directory of its own."""

    runtime: Runtime
    image: str
    directory: Path
    heard: bytearray = field(default_factory=bytearray)

    def container(self, *cmd: str, **given: Any) -> Container:
        name = f"test-{uuid.uuid4().hex[:12]}"
        out = self.directory / name
        out.mkdir()
        return Container(**{"name": name, "image": self.image, "cmd": cmd, "inputs": (), "out": out, **given})

    async def __call__(self, *cmd: str, **given: Any) -> Result:
        container = self.container(*cmd, **given)
        self.heard.clear()
        ended = await self.runtime.run(container, self.heard.extend)
        return Result(ended, bytes(self.heard), container.out)

    async def python(self, program: str, **given: Any) -> Result:
        return await self("python3", "-c", program, **given)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    return ImageStore(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def sandboxes(store: ImageStore) -> ImageStore:
    """Fails where there should be sandboxes: a suite that skips them on a server tests nothing."""
    reason = available()
    if reason and sys.platform == "linux" and os.geteuid() == 0:
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return store


@pytest.fixture(scope="session")
def image(store: ImageStore) -> str:
    """An image as a build leaves it: one layer with a script, and an interpreter of this machine."""
    python = Path(sys.executable).resolve()
    program = store.layer("a" * 32) / "opt" / "program"
    program.mkdir(parents=True)
    (program / "train").write_text(TRAIN)
    (program / "train").chmod(0o755)
    made = Image.sealed(
        layers=("a" * 32,),
        environment=None,
        python=str(python),
        env={"PATH": f"{python.parent}:/usr/bin:/bin", "LANG": "C.UTF-8", "LIBRARY": "/opt/program"},
        workdir="/opt/program",
        cmd=("sh", "-c", "echo of the image"),
    )
    store.put(made)
    return f"test@sha256:{made.digest}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    scratch.sweep(tmp_path / "containers")
    return tmp_path / "containers"


@pytest.fixture
def cgroups() -> Cgroups:
    return usable(f"kaos-test-{uuid.uuid4().hex[:8]}-", pids=PIDS)


@pytest.fixture
def outs(tmp_path: Path) -> Path:
    (tmp_path / "outs").mkdir()
    return tmp_path / "outs"


@pytest.fixture
def sandboxed(sandboxes: ImageStore, image: str, directory: Path, cgroups: Cgroups, outs: Path) -> Runner:
    return Runner(Bubblewrap(sandboxes, directory, cgroups), image, outs)


@pytest.fixture
def unlimited(sandboxes: ImageStore, image: str, directory: Path, outs: Path) -> Runner:
    """Sandboxes on a machine whose cgroups can't be written."""
    return Runner(Bubblewrap(sandboxes, directory, Cgroups("", ())), image, outs)


@pytest.fixture
def plain(store: ImageStore, image: str, directory: Path, cgroups: Cgroups, outs: Path) -> Runner:
    """What a machine without sandboxes does that can't make a link at /pfs either."""
    return Runner(Plain(store, directory, cgroups, link=None), image, outs)


@pytest.fixture
def no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine of this test makes a link at this machine's /pfs."""
    monkeypatch.setattr(plain_runtime, "_linkable", lambda _: False)


@pytest.fixture
def needs_limits(cgroups: Cgroups) -> None:
    if cgroups.lacking:
        pytest.skip(f"the cgroups of this machine can't be written: {cgroups.lacking}")


def processes(marker: str) -> list[int]:
    """The processes of this machine that have a word in their command line, other than zombies."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if marker.encode() in words:
            found.append(int(process.name))
    return found


@pytest.fixture
def marker() -> str:
    """So many seconds to sleep that no other process of this machine does: tells processes of one test."""
    return f"{3600 + uuid.uuid4().int % 10**9}.{uuid.uuid4().int % 10**6}"


@pytest.fixture
def alive() -> Any:
    return processes


@pytest.fixture
def limits() -> type[Limits]:
    return Limits
