"""How a program of kaos that runs as a job tells why it failed: in its last line, which function logs reads."""

import json
import signal
import sys
from typing import Final

from shared.errors import KaosError

_PREFIX: Final = "kaos-error: "
# As a shell has it for a program that SIGTERM ended.
_TERMINATED: Final = 143


def say(text: str) -> None:
    """Writes a line of the job's log."""
    print(text, flush=True)  # noqa: T201 - the log of a job is its output


def report(error: KaosError) -> int:
    """Writes the last line, to stderr; returns the exit status for it."""
    sys.stdout.flush()
    sys.stderr.write(f"{_PREFIX}{json.dumps({'code': error.code, 'message': error.message})}\n")
    return 1


def heard(line: str) -> tuple[str, str] | None:
    """Code and message of a last line; None for any other line, also one that only looks like it."""
    if not line.startswith(_PREFIX):
        return None
    try:
        told = json.loads(line.removeprefix(_PREFIX))
        return str(told["code"]), str(told["message"])
    except (ValueError, KeyError, TypeError):
        return None


def end_by_exception() -> None:
    """Makes SIGTERM raise SystemExit, so that a program that is told to end removes its drafts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
