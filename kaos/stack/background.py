"""Starts the stack in the background, and stops it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from kaos.stack import lock, record
from kaos.stack.home import Home, open_log, prepare
from kaos.stack.up import Options
from shared.errors import KaosError

# The supervisor gives each server 60 s to answer, and ends those that it has started within their graces.
_UP_SECONDS: Final = 120.0
# What the graces in kaos.stack.servers add up to, and a second for each server to be killed.
_DOWN_SECONDS: Final = 54.0
_KILLED_SECONDS: Final = 10.0


def start(options: Options) -> Home:
    """Returns when the stack is up; it outlives this process. Raises KaosError with the reason where it is not."""
    home = prepare(options.home)
    reading, writing = os.pipe()
    given = {"home": str(home.root), "ports": dict(options.ports), "engine": asdict(options.engine)}
    log = open_log(home.log("stack"))
    try:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "kaos.stack", str(writing), json.dumps(given)],
            cwd=home.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            start_new_session=True,
        )
    finally:
        os.close(log)
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        try:
            told = _told(pipe)
        except BaseException:
            supervisor.terminate()  # Ctrl-C among others: what is not up yet is not wanted any more
            raise
    if told is None:
        raise KaosError("stack.start", f"The supervisor ended without a word: see {home.log('stack')}")
    if error := told.get("error"):
        supervisor.wait()
        raise KaosError(error["code"], error["message"])
    supervisor.returncode = 0  # it is no longer ours to wait for
    return home


def stop(home: Home) -> bool:
    """Returns when no process of the stack is left; whether there were any. Raises KaosError `stack.down`."""
    pid = lock.holder(home)
    if pid is None:
        return False
    known = record.read(home)
    servers = [each.pid for each in known.servers.values() if each.pid] if known else []
    with contextlib.ExitStack() as opened:
        supervisor, *others = [opened.enter_context(_pidfd(each)) for each in (pid, *servers)]
        _send(supervisor, signal.SIGTERM)
        if not _ended([supervisor], _DOWN_SECONDS):
            _send(supervisor, signal.SIGKILL)  # the kernel then ends its servers
        if not _ended([supervisor, *others], _KILLED_SECONDS):
            raise KaosError("stack.down", f"Processes of the stack don't end, not even when killed: {pid}, {servers}.")
    return True


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """A descriptor of the process; None where it is gone already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _send(descriptor: int | None, number: int) -> None:
    if descriptor is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)


def _ended(descriptors: Iterable[int | None], seconds: float) -> bool:
    """Waits for all of them, for a while."""
    deadline = time.monotonic() + seconds
    for descriptor in descriptors:
        if descriptor is None:
            continue
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            return False
    return True


def _told(pipe: Any) -> dict[str, Any] | None:
    readable, _, _ = select.select([pipe], [], [], _UP_SECONDS)
    if not readable:
        raise KaosError("stack.start", f"The stack was not up within {_UP_SECONDS:.0f} s.")
    content = pipe.read()
    return json.loads(content) if content else None
