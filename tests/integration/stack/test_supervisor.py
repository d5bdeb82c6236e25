"""What the supervisor does with servers that crash, hang or never come up; shells stand in for servers."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kaos.stack.supervisor import Server, Watched, supervise
from shared.errors import KaosError
from tests.integration.stack.conftest import is_gone, until

BOUND = 20


class Supervised:
    """Servers under supervision, and what was told of them."""

    def __init__(self, *servers: Server) -> None:
        self.watched = [Watched(server) for server in servers]
        self.told: list[str] = []
        self.ready = asyncio.Event()
        self.stop = asyncio.Event()
        self.changed = asyncio.Condition()

    def tell(self, watched: Watched, what: str) -> None:
        self.told.append(f"{watched.server.name} {what}")

    async def run(self) -> None:
        async with asyncio.timeout(BOUND):
            await supervise(self.watched, until=self.stop, ready=self.ready.set, tell=self.tell)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # what is told is no event

    def pids(self) -> list[int]:
        return [each.process.pid for each in self.watched if each.process]


def shell(folder: Path, name: str, script: str, *, answers: bool = True, grace: float = 5.0) -> Server:
    async def probe() -> bool:
        return answers

    command = ("/bin/sh", "-c", script)
    return Server(name, command, dict(os.environ), folder, folder / f"{name}.log", 0, probe, grace)


async def test_what_keeps_crashing_gets_ever_more_time(tmp_path: Path) -> None:
    stack = Supervised(shell(tmp_path, "flaky", "sleep 0.05; exit 3"))
    running = asyncio.create_task(stack.run())
    await stack.until(lambda: len(stack.told) >= 5)
    stack.stop.set()
    await running

    assert stack.told[:5:2] == [f"flaky ended with exit code 3; starts again in {delay} s" for delay in (0.1, 0.2, 0.4)]
    assert stack.watched[0].crashes >= 3
    assert stack.watched[0].restarts >= 2


async def test_they_end_in_the_opposite_order(tmp_path: Path) -> None:
    script = "trap 'echo {0} >> order; exit' TERM; touch {0}.up; sleep 60 & wait"
    stack = Supervised(*(shell(tmp_path, name, script.format(name)) for name in ("first", "second", "third")))
    running = asyncio.create_task(stack.run())
    await stack.until(lambda: all((tmp_path / f"{name}.up").exists() for name in ("first", "second", "third")))
    stack.stop.set()
    await running

    assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]


async def test_what_ignores_sigterm_is_killed_with_all_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 60 & echo $! > child; wait; wait"
    stack = Supervised(shell(tmp_path, "stubborn", script, grace=0.1))
    running = asyncio.create_task(stack.run())
    await stack.until(lambda: (tmp_path / "child").exists() and bool((tmp_path / "child").read_text().strip()))
    [pid], child = stack.pids(), int((tmp_path / "child").read_text())
    stack.stop.set()
    await running

    assert is_gone(pid)
    await asyncio.to_thread(until, lambda: is_gone(child), BOUND)


async def test_what_ends_before_it_answers_is_quoted_and_the_others_end(tmp_path: Path) -> None:
    (tmp_path / "broken.log").write_text("words of last week\n")
    silent = shell(tmp_path, "silent", "sleep 60", answers=False)
    broken = shell(tmp_path, "broken", "echo no room on the disk; exit 4", answers=False)
    stack = Supervised(silent, broken)

    with pytest.raises(KaosError) as raised:
        await stack.run()

    assert raised.value.code == "stack.start"
    assert "broken ended with exit code 4 before it answered, saying: no room on the disk." in raised.value.message
    assert not stack.pids()
    assert not stack.ready.is_set()


async def test_it_can_be_stopped_while_it_starts(tmp_path: Path) -> None:
    stack = Supervised(shell(tmp_path, "slow", "sleep 60", answers=False))
    running = asyncio.create_task(stack.run())
    await stack.until(lambda: bool(stack.pids()))
    [pid] = stack.pids()
    stack.stop.set()
    await running

    assert is_gone(pid)
    assert not stack.ready.is_set()


async def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    missing = Server("gone", ("/nonexistent",), {}, tmp_path, tmp_path / "gone.log", 0, asyncio.Event().wait, 1.0)

    with pytest.raises(KaosError) as raised:
        await Supervised(missing).run()

    assert raised.value.message == "gone can't be started: /nonexistent: No such file or directory"
