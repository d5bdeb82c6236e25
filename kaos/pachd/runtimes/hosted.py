"""Starts programs directly on this host, in a process group of their own, and ends them with all they started."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Final

import structlog

from kaos.pachd.runtimes.cgroups import Cgroup
from kaos.pachd.runtimes.process import Process

_POLL_SECONDS: Final = 0.005

log = structlog.get_logger()


def start(  # noqa: PLR0917  # a process is made of these
    argv: Sequence[str],
    env: Mapping[str, str],
    directory: Path,
    stdin: IO[bytes],
    stdout: int,
    cgroup: Cgroup,
    *,
    prefix: Sequence[str] = (),
) -> Process:
    """Starts it, after a `prefix` that limits it.

    On Linux the kernel kills it when the thread that started it ends. Raises OSError, ValueError.
    """
    return subprocess.Popen(
        [*prefix, *_dying_with_parent(), *_joining(cgroup), *argv],
        env=dict(env),
        cwd=directory,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


async def kill(process: Process, cgroup: Cgroup, *, grace: float) -> None:
    """Asks the group to end, and after `grace` seconds kills it, and with it what left the group for its own session.

    The latter only where there are cgroups: without them, nothing tells whose such a process is.
    """
    if process.returncode is None and grace:
        _signal(process.pid, signal.SIGTERM)
        await _until(lambda: process.returncode is not None, grace)
    _signal(process.pid, signal.SIGKILL)
    if not await cgroup.emptied():
        log.error("runtime.not-killed", pid=process.pid, help="a process of a container hangs in the kernel")


def _signal(group: int, number: int) -> None:
    # macOS: EPERM for a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(_POLL_SECONDS)


@cache
def _dying_with_parent() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    words = (setpriv, "--pdeathsig", "KILL", "--")
    works = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    return words if works else ()


def _joining(cgroup: Cgroup) -> tuple[str, ...]:
    if not cgroup:
        return ()
    joins = "".join(f"echo 0 > {shlex.quote(str(file))} && " for file in cgroup.joins)
    return (shutil.which("sh") or "sh", "-c", f'{joins}exec "$@"', "sh")
