"""How a container ended, in words that a user and functions/logs understand."""

import signal
from typing import Final

from kaos.pachd.runtimes.cgroups import Usage
from kaos.pachd.runtimes.container import Exit, Limits, Output
from kaos.pachd.runtimes.process import Ended
from shared.quantities import readable

# Container engines' own: the program could not be started, as against what the program itself may say.
NOT_STARTED: Final = 125
# A shell's: 128 and the signal that ended a program.
_SIGNALLED: Final = 128
KILLED: Final = _SIGNALLED + signal.SIGKILL
# What of the last output says why a program could not be started.
_LAST_BYTES: Final = 500


def exit_of(ended: Ended, usage: Usage, limits: Limits) -> Exit:
    """The exit of a tree whose first process is the program, or one that passes its status on.

    Where there are no cgroups, the cost is that of the processes that were waited for.
    """
    code = _SIGNALLED - ended.status if ended.status < 0 else ended.status
    reason = _reason(code, ended, usage, limits) if code or ended.timed_out else ""
    return Exit(code, reason, ended.cpu_seconds if usage.cpu_seconds is None else usage.cpu_seconds, usage.peak)


def not_started(why: str) -> Exit:
    """The exit of a program that never ran."""
    return Exit(NOT_STARTED, f"could not be started: {why}")


def _reason(code: int, ended: Ended, usage: Usage, limits: Limits) -> str:
    if ended.timed_out:
        return f"timed out after {limits.seconds:g} s"
    if usage.out_of_memory and limits.memory is not None:
        return f"out of memory: used more than {readable(limits.memory)}"
    try:
        return f"killed by signal {code - _SIGNALLED} ({signal.Signals(code - _SIGNALLED).name})"
    except ValueError:
        return f"exit code {code}"


class LastLine:
    """Passes output on, and remembers its last line."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._kept = b""

    def __call__(self, chunk: bytes) -> None:
        """Hears a piece of it."""
        self._kept = (self._kept + chunk[-_LAST_BYTES:])[-_LAST_BYTES:]
        self._output(chunk)

    def __str__(self) -> str:
        lines = self._kept.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no reason was given"
