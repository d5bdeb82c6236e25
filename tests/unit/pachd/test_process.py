"""One process followed to its end, however this machine tells that it has ended."""

import asyncio
import os
import subprocess
from typing import IO

import pytest

from kaos.pachd.runtimes.process import Process, supervise


def begin(stdin: IO[bytes], stdout: int) -> Process:
    return subprocess.Popen(["sh", "-c", "cat; exit 3"], stdin=stdin, stdout=stdout)


async def already_gone(_: Process) -> None:
    """Nothing to kill: the process ends by itself."""


@pytest.mark.parametrize("has_descriptors", [True, False])
async def test_a_process_is_followed_to_its_end(has_descriptors: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise OSError("a kernel before 5.3")

    if not has_descriptors:
        monkeypatch.setattr(os, "pidfd_open", refuse)
    said: list[bytes] = []
    async with asyncio.timeout(10):
        ended = await supervise(begin, already_gone, stdin=b"hello", output=said.append, seconds=None)
    assert (ended.status, ended.timed_out, b"".join(said)) == (3, False, b"hello")
    assert ended.cpu_seconds is not None
