"""Large inputs: a data bundle of 1 GiB, against what the disk and SHA-256 take for the same bytes."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import workload
from bench.stack import WORKSPACE, Stack, moment
from bench.table import Figure

_BYTES: Final = 2**30
_CHUNK: Final = 2**20


def measure(stack: Stack) -> Iterator[Figure]:
    """From the start of `kaos train deploy -d` to the finished commit."""
    # Without a source the run would wait for one.
    stack.finished(stack.submit({"source": workload.source(), "data": workload.data(time.time_ns())}))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        data.mkdir()
        with (data / "random.bin").open("wb") as file:
            for _ in range(_BYTES // _CHUNK):
                file.write(os.urandom(_CHUNK))
        bare = _copied(data / "random.bin", Path(folder, "copy"))
        before = stack.memory()
        began = time.time()
        stack.kaos("train", "deploy", "-w", WORKSPACE, "-d", str(data), "--follow")
        [newest] = stack.client.runs(WORKSPACE, 1)
        events = stack.events(newest)
        done = next(moment(event["time"]) for event in events if event["type"] == "kaos.commit.finished")
    taken = done - began
    grown = sum(stack.memory().values()) - sum(before.values())
    yield Figure(
        "1 GiB of data to a finished commit",
        f"{taken:.2f} s",
        f"{bare:.2f} s",
        f"{taken / bare:.2f} x",
        "≤ 3 x",
        taken <= 3 * bare,
    )
    yield Figure("  memory of the stack grew by", f"{grown / 1e6:.0f} MB")


def _copied(source: Path, target: Path) -> float:
    """Reads, hashes and writes the bytes once, durably."""
    began = time.perf_counter()
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as write:
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            write.write(chunk)
        write.flush()
        os.fsync(write.fileno())
    return time.perf_counter() - began
