"""However a container ends, and however the engine does, nothing of it goes on."""

import asyncio
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes.choose import choose, engine_prefix
from kaos.pachd.runtimes.container import Limits

ISOLATED = pytest.mark.parametrize("runner", ["sandboxed", "unlimited"], indirect=True)
# The plain runtime finds what left its process group by the cgroup.
EVERY = pytest.mark.parametrize("runner", ["sandboxed", "unlimited", "plain"], indirect=True)

# An engine of its own process: says where its container's first words were heard, and goes on for ever.
ENGINE = """\
import asyncio, sys
from pathlib import Path
from kaos.pachd.runtimes import plain
from kaos.pachd.runtimes.choose import choose, engine_prefix
from kaos.pachd.runtimes.container import Container
from shared.images import ImageStore

async def main(setting, store, directory, out, image, *cmd):
    plain._linkable = lambda _: False
    runtime, _ = choose(setting, ImageStore(Path(store)), Path(directory), {"kaos/builder": {}})
    heard = lambda chunk: print(chunk.decode(), end="", flush=True)
    await runtime.run(Container("only", image, cmd, (), Path(out)), heard)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Any:
    if request.param == "plain":
        request.getfixturevalue("needs_limits")
    return request.getfixturevalue(request.param)


def gone(marker: str, alive: Callable[[str], list[int]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)  # processes of others end, and tell nobody
    return True


@EVERY
async def test_what_a_program_leaves_behind_ends_with_it(runner: Any, marker: str, alive: Any) -> None:
    result = await runner("sh", "-c", f"(setsid sleep {marker} &); echo done")
    assert (result.exit.code, result.output) == (0, b"done\n")
    assert not alive(marker)


@EVERY
async def test_cancelling_kills_everything_within_two_seconds(runner: Any, marker: str, alive: Any) -> None:
    started = asyncio.Event()
    script = f"trap '' TERM INT HUP; (setsid sleep {marker} >/dev/null 2>&1 &); echo; exec sleep {marker}"
    task = asyncio.create_task(runner.runtime.run(runner.container("sh", "-c", script), lambda _: started.set()))
    async with asyncio.timeout(20):
        await started.wait()
    async with asyncio.timeout(20):
        while len(alive(marker)) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the second process has yet to become sleep
    begun = time.monotonic()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 2
    assert not alive(marker)


@ISOLATED
async def test_cancelling_at_any_moment_of_the_start_leaves_nothing(
    runner: Any, marker: str, alive: Any, directory: Path
) -> None:
    for milliseconds in range(0, 30, 3):
        task = asyncio.create_task(runner("sh", "-c", f"setsid sleep {marker} & sleep {marker}"))
        await asyncio.sleep(milliseconds / 1000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gone(marker, alive, 0.2)
    for _ in range(200):
        if not list(directory.iterdir()):  # noqa: ASYNC240
            break
        await asyncio.sleep(0.01)
    assert not list(directory.iterdir())  # noqa: ASYNC240


@EVERY
async def test_a_listener_that_fails_ends_the_container(runner: Any, marker: str, alive: Any) -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await runner.runtime.run(runner.container("sh", "-c", f"echo; exec sleep {marker}"), full)
    assert not alive(marker)


@EVERY
async def test_output_is_held_back_and_memory_does_not_grow(runner: Any) -> None:
    heard = 0

    def listen(chunk: bytes) -> None:
        nonlocal heard
        heard += len(chunk)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    container = runner.container("sh", "-c", "head -c 100000000 /dev/zero")
    ended = await runner.runtime.run(container, listen)
    assert (ended.code, heard) == (0, 100_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024  # KiB


@EVERY
async def test_a_slow_listener_slows_the_program_down(runner: Any) -> None:
    """What was written and not heard is no more than a pipe holds: the program says how far it is."""
    ahead = []

    def listen(chunk: bytes) -> None:
        nonlocal heard
        heard += len(chunk)
        time.sleep(0.005)
        ahead.append(int((container.out / "written").read_text() or "0") - heard)

    heard = 0
    note = "open('/pfs/out/written', 'r+').write(str(n * 10_000))"
    program = f"import os\nfor n in range(60):\n  os.write(1, bytes(10_000))\n  {note}"
    container = runner.container("python3", "-c", program)
    (container.out / "written").write_text("0")
    ended = await runner.runtime.run(container, listen)
    assert (ended.code, heard) == (0, 600_000)
    assert max(ahead) <= 80_000


@pytest.mark.usefixtures("no_link")
@pytest.mark.parametrize("setting", ["bubblewrap", "plain"])
def test_a_killed_engine_takes_its_containers_along(  # noqa: PLR0917
    setting: str, sandboxes: Any, image: str, tmp_path: Path, marker: str, alive: Any
) -> None:
    _killed_engine(setting, sandboxes, image, tmp_path, f"echo; exec sleep {marker}")
    assert gone(marker, alive, 2)
    choose(setting, sandboxes, tmp_path / "containers", {})


@pytest.mark.usefixtures("needs_limits", "no_link")
@pytest.mark.parametrize("setting", ["bubblewrap", "plain"])
def test_the_next_engine_clears_up_after_a_killed_one(  # noqa: PLR0917
    setting: str, sandboxes: Any, image: str, tmp_path: Path, marker: str, alive: Any
) -> None:
    _killed_engine(setting, sandboxes, image, tmp_path, f"(setsid sleep {marker} &); touch /tmp/x; echo; sleep 1000")
    left = [
        *Path("/sys/fs/cgroup").glob(f"**/{engine_prefix(tmp_path / 'containers')}only"),
        *(tmp_path / "containers").iterdir(),
    ]
    assert left
    choose(setting, sandboxes, tmp_path / "containers", {})
    assert not alive(marker)
    assert not [path for path in left if path.exists() and not path.is_symlink()]


def _killed_engine(setting: str, store: Any, image: str, tmp_path: Path, script: str) -> None:
    (tmp_path / "out").mkdir()
    words = [setting, str(store.root), str(tmp_path / "containers"), str(tmp_path / "out"), image, "sh", "-c", script]
    with subprocess.Popen([sys.executable, "-c", ENGINE, *words], stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == b"\n"
        engine.send_signal(signal.SIGKILL)


async def test_many_at_once(sandboxed: Any) -> None:
    containers = [sandboxed.container("sh", "-c", f"exit {number}", limits=Limits(cpu=1)) for number in range(40)]
    ended = await asyncio.gather(*(sandboxed.runtime.run(container, lambda _: None) for container in containers))
    assert [each.code for each in ended] == list(range(40))
