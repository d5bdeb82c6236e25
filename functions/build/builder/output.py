"""The output of a program that a build runs: shown as it comes, its last words kept for the error."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

# How much of the last line of output an error quotes.
_QUOTED = 300
_READ_BYTES = 65536


def shown(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Shows what a program writes to its stdout, a pipe, until it ends; its exit status and its last line."""
    sys.stdout.flush()
    try:
        tail: deque[bytes] = deque(maxlen=2)
        for chunk in _chunks(process):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            tail.append(chunk)
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    lines = [line for line in b"".join(tail).decode(errors="replace").splitlines() if line.strip()]
    return status, lines[-1].strip()[-_QUOTED:] if lines else ""


def _chunks(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    if process.stdout is None:
        return
    with process.stdout as output:
        while chunk := os.read(output.fileno(), _READ_BYTES):
            yield chunk
