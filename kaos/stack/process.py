"""A child process that can't outlive its parent, awaited without threads."""

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


@dataclass(frozen=True)
class Process:
    """A running child, first of a process group of its own."""

    popen: "subprocess.Popen[bytes]"
    pidfd: int

    @property
    def pid(self) -> int:
        """Its process id, which stays its own until `ended` has returned."""
        return self.popen.pid

    async def ended(self) -> int:
        """Waits for its end; returns its exit code, negative where a signal ended it. To be awaited by one task."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(self.pidfd, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(self.pidfd)
        code = self.popen.wait()
        self._kill_group()  # what it started ends with it
        os.close(self.pidfd)
        return code

    def terminate(self) -> None:
        """Asks it to end."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and what it started."""
        self._kill_group()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def start(command: Sequence[str], environment: Mapping[str, str], log: int, *, cwd: Path) -> Process:
    """Starts `command`; what it says goes to the descriptor `log`. Raises OSError where there is no such program.

    The kernel kills it when this process ends, however it ends. Call it from the main thread: the kernel's word for
    "parent" is the thread.
    """
    popen = subprocess.Popen(  # a list, never a shell
        command,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=_tied_to(os.getpid()),  # noqa: PLW1509  # nothing here runs threads
    )
    return Process(popen, os.pidfd_open(popen.pid))


def _tied_to(parent: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl  # found before the fork: after it, as little as possible should happen

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it ended before the kernel knew

    return tie


def why(code: int) -> str:
    """An exit code in words: `exit code 1`, `signal 9 (SIGKILL)`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
