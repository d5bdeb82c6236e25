"""System images run as programs of this host, and a pipeline decides little about them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes.cgroups import Cgroups
from kaos.pachd.runtimes.choose import choose
from kaos.pachd.runtimes.container import Limits
from kaos.pachd.runtimes.program import Program

BUILDER = "kaos/builder"
MODULE = ("python", "-m", "functions.build.builder")
# Stands in for the interpreter: says what it was given, then does what its last argument says.
TELLING = """\
#!/bin/sh
for word; do last="$word"; done
"$PYTHON_TO_TELL" -c 'import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))' "$@"
eval "$last"
"""


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "telling"
    program.write_text(TELLING.replace("$PYTHON_TO_TELL", sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.fixture
def program(plain: Any, directory: Path, cgroups: Cgroups) -> Any:
    plain.runtime = Program({BUILDER: {"KAOS_IMAGES": "/images", "SECRET": "ours"}}, directory, cgroups)
    plain.image = BUILDER
    return plain


async def test_the_builder_builds(program: Any, store: Any, directory: Path, cgroups: Cgroups, tmp_path: Path) -> None:
    """A pipeline's command runs the package that lies beside this one, with inputs and output where it looks."""
    bundle = tmp_path / "mnist:e23a2f1" / "mnist"
    (bundle / "model").mkdir(parents=True)
    (bundle / "Dockerfile").write_text("FROM python:3\nCOPY . /opt/program/\n")
    (bundle / "model" / "requirements.txt").write_text("")
    (bundle / "model" / "train").write_text("#!/bin/sh\n")
    program.runtime = Program({BUILDER: {"KAOS_IMAGES": str(store.root)}}, directory, cgroups)
    result = await program(*MODULE, "/pfs/source", "/pfs/out", inputs=(("source/mnist:e23a2f1", bundle.parent),))
    assert result.exit.code == 0, result
    assert json.loads((result.out / "image.json").read_text())["ref"].startswith("mnist@sha256:")


@pytest.mark.usefixtures("telling")
async def test_words_that_name_pfs_name_the_real_places(program: Any, tmp_path: Path) -> None:
    (tmp_path / "manifest").write_text("m")
    script = 'cat "$source"/a "$1"; echo done > "$3"/x; exit 4'
    result = await program(
        *(*MODULE, "/pfs/source/a", "x/pfs/source", "/pfs/out", 'set -- "$3" "$4" "$5"; ' + script),
        inputs=(("source/a", tmp_path / "manifest"),),
        env={"source": "/pfs/source", "PACH_JOB_ID": "j"},
    )
    told, rest = result.output.split(b"\n", 1)
    argv, env, cwd = json.loads(told)
    assert argv[:2] == ["-m", "functions.build.builder"]
    assert argv[3] == "x/pfs/source"
    assert rest == b"mm"
    assert (result.out / "x").read_text() == "done\n"
    assert result.exit.reason == "exit code 4"
    assert env["PACH_JOB_ID"] == "j"
    assert not Path(cwd).exists()  # noqa: ASYNC240


@pytest.mark.usefixtures("telling")
async def test_its_environment_is_its_own(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACHD_TOKEN", "hush")
    steering = {"LD_PRELOAD": "/x.so", "PYTHONPATH": "/x", "PYTHONSTARTUP": "/x", "PATH": "/x", "SECRET": "theirs"}
    result = await program(*MODULE, "true", env={**steering, "HARMLESS": "1"})
    _, env, _ = json.loads(result.output)
    assert env.keys() - {"PWD", "LC_CTYPE", "OLDPWD", "_", "SHLVL"} == {
        *("PATH", "HOME", "LANG") & os.environ.keys(),
        *("KAOS_IMAGES", "SECRET", "HARMLESS", "PYTHONPATH", "PYTHONUNBUFFERED", "CUDA_VISIBLE_DEVICES"),
    }
    assert env["SECRET"] == "ours"
    assert env["PATH"] == os.environ["PATH"]
    assert (Path(env["PYTHONPATH"].split(os.pathsep)[0]) / "functions").is_dir()


@pytest.mark.parametrize("cmd", [("sh", "-c", "id"), ("python", "-c", "1"), ("python", "-m", "os"), ("python",), ()])
async def test_a_pipeline_chooses_no_other_program(program: Any, cmd: tuple[str, ...]) -> None:
    result = await program(*cmd)
    assert result.exit.code == 125
    assert "runs `python -m functions.…` and nothing else" in result.exit.reason


async def test_another_image_is_a_lookup_error(program: Any) -> None:
    with pytest.raises(LookupError):
        await program(*MODULE, image="kaos/other")


@pytest.mark.usefixtures("telling", "needs_limits")
@pytest.mark.parametrize("stubborn", [False, True])
async def test_when_cancelled_it_may_clear_up_for_a_second(
    program: Any, stubborn: bool, marker: str, alive: Any
) -> None:
    started, heard = asyncio.Event(), bytearray()

    def listen(chunk: bytes) -> None:
        heard.extend(chunk)
        if heard.endswith(b"\nstarted\n"):
            started.set()

    trap = "trap '' TERM" if stubborn else "trap 'echo cleared > $out/x; exit' TERM"
    script = f"out=$5; {trap}; setsid sleep {marker} & sleep {marker} & echo started; while :; do wait; done"
    container = program.container(*MODULE, "/pfs/1", "/pfs/2", "/pfs/out", script)
    task = asyncio.create_task(program.runtime.run(container, listen))
    async with asyncio.timeout(20):
        await started.wait()
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 2
    assert (container.out / "x").exists() != stubborn
    assert not alive(marker)


@pytest.mark.usefixtures("telling", "needs_limits")
async def test_limits_hold_for_it_too(program: Any, marker: str, alive: Any) -> None:
    hog = f"{sys.prefix}/bin/python -c 'x = bytes(1); x = x * 300_000_000'"
    result = await program(*MODULE, hog, limits=Limits(memory=64 * 2**20))
    assert result.exit.reason == "out of memory: used more than 64 MiB"
    result = await program(*MODULE, f"setsid sleep {marker} & sleep {marker}", limits=Limits(seconds=0.3))
    assert result.exit.reason == "timed out after 0.3 s"
    assert not alive(marker)


ENGINE = """\
import asyncio, sys
from pathlib import Path
from kaos.pachd.runtimes import plain
from kaos.pachd.runtimes.choose import choose
from kaos.pachd.runtimes.container import Container
from shared.images import ImageStore

async def main(telling, store, directory, out, *cmd):
    sys.executable = telling
    plain._linkable = lambda _: False
    runtime, _ = choose("plain", ImageStore(Path(store)), Path(directory), {"kaos/builder": {}})
    heard = lambda chunk: print(chunk.decode(), end="", flush=True)
    await runtime.run(Container("only", "kaos/builder", cmd, (), Path(out)), heard)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.usefixtures("telling", "needs_limits", "no_link")
def test_it_dies_with_the_engine(store: Any, tmp_path: Path, marker: str, alive: Any) -> None:
    (tmp_path / "out").mkdir()
    python, directory = f"{sys.prefix}/bin/python", tmp_path / "containers"
    words = [sys.executable, str(store.root), str(directory), str(tmp_path / "out"), *MODULE]
    script = f"setsid sleep {marker} & echo started; exec sleep {marker}"
    with subprocess.Popen([python, "-c", ENGINE, *words, script], stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        while b"started" not in engine.stdout.readline():
            assert engine.poll() is None
        engine.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 2
    while len(alive(marker)) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the kernel ends it, and tells nobody here
    # What left for a session of its own is found by the next engine.
    choose("plain", store, directory, {})
    assert not alive(marker)
