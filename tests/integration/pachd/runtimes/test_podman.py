"""Containers of real images, where podman is installed."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes.container import Limits
from kaos.pachd.runtimes.podman import Podman

pytestmark = pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")

PROGRAMS = ("sh", "cat", "ls", "env", "sleep", "touch", "head", "setsid", "tail")
ENGINE = "kaos-podman-test-"


@pytest.fixture(scope="session")
def podman_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A few programs of this machine and their libraries: there is no registry to ask for a real base."""
    root = tmp_path_factory.mktemp("image")
    for program in PROGRAMS:
        path = Path(shutil.which(program) or program)
        libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for file in (str(path), *re.findall(r"(/\S+) \(0x", libraries)):
            target = root / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    (root / "opt/program").mkdir(parents=True)
    (root / "tmp").mkdir()
    archive = shutil.make_archive(str(root), "tar", root)
    name = "localhost/kaos/runtime-test:1"
    settings = ("ENV PATH=/usr/bin:/bin", "WORKDIR /opt/program", 'CMD ["sh", "-c", "echo of the image"]')
    changes = [word for setting in settings for word in ("--change", setting)]
    done = subprocess.run(["podman", "import", *changes, archive, name], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"podman does not work here: {done.stderr.strip()}")
    yield name
    subprocess.run(["podman", "rmi", "--force", name], capture_output=True, check=False)


@pytest.fixture
def podman(plain: Any, podman_image: str, directory: Path) -> Any:
    plain.runtime, plain.image = Podman(directory, ENGINE), podman_image
    return plain


async def test_user_code_finds_what_it_may_rely_on(
    podman: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:hush@proxy")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").write_text("1,2")
    script = b"cat /pfs/data/mnist:9fd9d03/x.csv; touch /pfs/data/mnist:9fd9d03/y; env >/pfs/out/env; ls /sys/class/net"
    result = await podman(
        "sh", stdin=script, inputs=(("data/mnist:9fd9d03", tmp_path / "data"),), env={"TEXT": "a b=#c"}
    )
    assert (result.exit.code, result.exit.reason) == (0, "")
    assert result.output.startswith(b"1,2")
    assert b"Read-only" in result.output
    assert result.output.endswith(b"\nlo\n")
    seen = dict(line.split("=", 1) for line in (result.out / "env").read_text().splitlines())
    assert (seen["TEXT"], seen["CUDA_VISIBLE_DEVICES"], seen["PWD"]) == ("a b=#c", "", "/opt/program")
    assert "hush" not in json.dumps(seen)


async def test_how_it_ends(podman: Any) -> None:
    assert (await podman()).output == b"of the image\n"
    assert (await podman("sh", "-c", "exit 3")).exit.reason == "exit code 3"
    assert (await podman("sh", "-c", "sh -c 'kill -SEGV $$'; exit $?")).exit.reason == "killed by signal 11 (SIGSEGV)"
    assert (await podman("nothing-here")).exit.code == 127
    assert "could not be started" in (await podman("true", image="NOT-A-NAME")).exit.reason
    assert "line break" in (await podman("true", env={"A": "x\ny"})).exit.reason


async def test_limits(podman: Any) -> None:
    hog = "head -c 300000000 /dev/zero | tail -c 200000000 >/dev/null; exit $?"
    result = await podman("sh", "-c", f"exec sh -c '{hog}'", limits=Limits(memory=64 * 2**20, cpu=1))
    assert result.exit.reason == "out of memory: used more than 64 MiB"
    assert (await podman("sleep", "60", limits=Limits(seconds=1))).exit.reason == "timed out after 1 s"


async def test_cancelling_kills_everything_within_two_seconds(podman: Any, marker: str, alive: Any) -> None:
    started = asyncio.Event()
    script = f"trap '' TERM; setsid sleep {marker} & echo; exec sleep {marker}"
    task = asyncio.create_task(podman.runtime.run(podman.container("sh", "-c", script), lambda _: started.set()))
    async with asyncio.timeout(20):
        await started.wait()
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 2
    assert not alive(marker)


def test_what_a_killed_engine_left_is_ended(podman: Any, podman_image: str, marker: str, alive: Any) -> None:
    label = ["--label", f"kaos-engine={ENGINE}", "--ulimit", "nofile=1024", "--ulimit", "nproc=1024"]
    subprocess.run(
        ["podman", "run", "--detach", "--rm", "--network", "none", *label, podman_image, "sleep", marker],
        check=True,
        capture_output=True,
    )
    podman.runtime.sweep()
    assert not alive(marker)
