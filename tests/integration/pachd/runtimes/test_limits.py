"""Limits hold, and say so in words that functions/logs turns into the user's."""

from typing import Any

import pytest

from functions.logs.reasons import failure
from kaos.pachd.runtimes.container import Exit, Limits
from shared.events import JobFinished

EVERY = pytest.mark.parametrize("runner", ["sandboxed", "plain"], indirect=True)
MIB = 2**20


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Any:
    if request.param == "plain":
        request.getfixturevalue("needs_limits")
    return request.getfixturevalue(request.param)


def told(ended: Exit) -> str:
    reason = f"datum ab12 failed: {ended.reason}"
    job = JobFinished(workspace="w", stage="train", pipeline="p", job="j", runs=("r",), outcome="failed", reason=reason)
    return failure(job, []).code


@EVERY
@pytest.mark.usefixtures("needs_limits")
async def test_memory(runner: Any) -> None:
    result = await runner.python("x = b'x' * 300_000_000", limits=Limits(memory=64 * MIB))
    assert (result.exit.code, result.exit.reason) == (137, "out of memory: used more than 64 MiB")
    assert told(result.exit) == "train.out-of-memory"
    assert 60 * MIB < result.exit.peak <= 64 * MIB
    assert (await runner.python("x = b'x' * 30_000_000", limits=Limits(memory=64 * MIB))).exit.code == 0


@EVERY
@pytest.mark.usefixtures("needs_limits")
async def test_memory_is_that_of_all_processes(runner: Any) -> None:
    program = "import os, time\nfor n in range(4): os.fork()\nx = b'x' * 20_000_000; time.sleep(0.5)"
    result = await runner.python(program, limits=Limits(memory=128 * MIB))
    assert result.exit.peak <= 128 * MIB
    assert result.exit.peak > 100 * MIB


@EVERY
@pytest.mark.usefixtures("needs_limits")
async def test_a_fork_bomb_stops_and_nothing_of_it_is_left(runner: Any, marker: str, alive: Any) -> None:
    bomb = f"i=0; while [ $i -lt 500 ]; do (setsid sleep {marker} &) || exit 7; i=$((i+1)); done"
    result = await runner("sh", "-c", bomb)
    assert result.exit.code != 0
    assert b"ork" in result.output  # dash: "Cannot fork"
    assert not alive(marker)


@EVERY
@pytest.mark.usefixtures("needs_limits")
async def test_cpu(runner: Any) -> None:
    program = (
        "import time\nbegun, end = time.process_time(), time.monotonic() + 1\n"
        "while time.monotonic() < end: pass\nprint(time.process_time() - begun)"
    )
    throttled = await runner.python(program, limits=Limits(cpu=0.2))
    assert float(throttled.output) < 0.4


@pytest.mark.parametrize("runner", ["sandboxed", "unlimited", "plain"], indirect=True)
async def test_time(runner: Any, marker: str, alive: Any) -> None:
    script = f"trap '' TERM; setsid sleep {marker} & sleep {marker}"
    result = await runner("sh", "-c", script, limits=Limits(seconds=0.3))
    assert (result.exit.code, result.exit.reason) == (137, "timed out after 0.3 s")
    assert (result.output, alive(marker)) == (b"", [])


async def test_without_cgroups_memory_is_refused_process_by_process(unlimited: Any) -> None:
    result = await unlimited.python("x = b'x' * 300_000_000", limits=Limits(memory=64 * MIB))
    assert b"MemoryError" in result.output


async def test_other_ends_are_told_apart(sandboxed: Any) -> None:
    assert told((await sandboxed("sh", "-c", "kill -9 $$")).exit) == "train.killed"
    assert told((await sandboxed("sh", "-c", "exit 1")).exit) == "train.failed"
