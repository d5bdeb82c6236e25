"""One run after the other: what kaos adds to the script, where the time goes, how soon the first line is seen."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import table, workload
from bench.stack import WORKSPACE, Stack, moment
from bench.table import Figure
from kaos.cli.wire import Event

_TIMES = 9
# From the event's own times: the hop, the event that begins it, and the one that ends it.
_HOPS = (
    ("object → commit", ("kaos.object.created", ""), ("kaos.commit.finished", "source")),
    ("commit → build done", ("kaos.commit.finished", "source"), ("kaos.job.finished", "build")),
    ("build done → train begun", ("kaos.job.finished", "build"), ("kaos.job.started", "train")),
    ("train begun → train done", ("kaos.job.started", "train"), ("kaos.job.finished", "train")),
    ("train done → run succeeded", ("kaos.job.finished", "train"), ("kaos.run.changed", "succeeded")),
)


def measure(stack: Stack, numbers: "itertools.count[int]") -> Iterator[Figure]:
    """Source and data are submitted each time; the source is the same, so its image is there."""
    stack.finished(stack.submit({"source": workload.source(), "data": workload.data(next(numbers))}))
    bare = [workload.bare_seconds() for _ in range(_TIMES)]
    taken: list[float] = []
    hops: dict[str, list[float]] = {name: [] for name, _, _ in _HOPS}
    for _ in range(_TIMES):
        began = time.perf_counter()
        run = stack.submit({"source": workload.source(), "data": workload.data(next(numbers))})
        events = stack.events(run)
        taken.append(time.perf_counter() - began)
        for name, begins, ends in _HOPS:
            first, last = _moment(events, begins), _moment(events, ends)
            if first is not None and last is not None:
                hops[name].append(last - first)
    yield table.seconds("submit → finished, API", taken, bare=bare, target=0.15)
    yield table.seconds("submit → finished, CLI", _command_line(stack, numbers), bare=bare, target=0.45)
    yield table.seconds("first log line", _first_lines(stack, numbers), target=0.15)
    for name, values in hops.items():
        if values:
            yield table.seconds(f"  {name}", values)


def _command_line(stack: Stack, numbers: "itertools.count[int]") -> list[float]:
    taken: list[float] = []
    with TemporaryDirectory() as folder:
        source, data = Path(folder, "bench"), Path(folder, "data")
        (source / "model").mkdir(parents=True)
        data.mkdir()
        (source / "Dockerfile").write_text(
            "FROM python:3\nWORKDIR /opt/program\nCOPY . /opt/program/\nRUN chmod +x train\n"
        )
        (source / "model" / "requirements.txt").write_text("")
        (source / "model" / "train").write_text(workload.SCRIPT)
        for number in range(_TIMES + 1):
            (data / "number.txt").write_text(str(next(numbers)))
            began = time.perf_counter()
            stack.kaos("train", "deploy", "-w", WORKSPACE, "-s", str(source), "-d", str(data), "--follow")
            if number:  # the first one builds
                taken.append(time.perf_counter() - began)
    return taken


def _first_lines(stack: Stack, numbers: "itertools.count[int]") -> list[float]:
    taken: list[float] = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        run = stack.submit({"data": workload.data(next(numbers))})
        for _ in stack.client.logs(run, "train", follow=True):
            taken.append(time.perf_counter() - began)
            break
        stack.finished(run)
    return taken


def _moment(events: list[Event], wanted: tuple[str, str]) -> float | None:
    kind, what = wanted
    for event in events:
        told = {str(event["data"].get(name, "")) for name in ("repo", "stage", "state")}
        if event["type"] == kind and (not what or what in told):
            return moment(event["time"])
    return None
