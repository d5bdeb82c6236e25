"""Many at once: separate runs, and the trials of one grid."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench import table, workload
from bench.stack import WORKSPACE, Stack
from bench.table import Figure

_RUNS = 100
_SUBMITTERS = 8


def runs(stack: Stack, numbers: "itertools.count[int]") -> Iterator[Figure]:
    """A hundred separate runs, from the first submission to the end of the last."""
    width = os.cpu_count() or 1
    bare = workload.bare_per_second(_RUNS, width)
    began = time.perf_counter()
    with ThreadPoolExecutor(_SUBMITTERS) as submitters:
        submitted = list(
            submitters.map(
                lambda number: stack.submit({"data": workload.data(number)}), itertools.islice(numbers, _RUNS)
            )
        )
    left = {run["id"] for run in submitted}
    for event in stack.client.events(WORKSPACE, follow=True):
        if event["type"] == "kaos.run.changed" and event["data"]["state"] == "succeeded":
            left.discard(str(event["data"]["run"]))
        if not left:
            break
    yield table.rate(f"{_RUNS} separate runs", _RUNS / (time.perf_counter() - began), least=15)
    yield table.rate("  the bare script, as wide as there are cores", bare)


def grid(stack: Stack, numbers: "itertools.count[int]", trials: int, *, least: float | None) -> Iterator[Figure]:
    """One grid of so many trials, against a pool of plain processes of the same width."""
    width = os.cpu_count() or 1
    bare = workload.bare_per_second(min(trials, _RUNS), width)
    before = sum(stack.memory().values())
    params = json.dumps({"number": [next(numbers) for _ in range(trials)]}).encode()
    began = time.perf_counter()
    run = stack.submit({"params": params}, {"params": "grid.json"}, parallelism=width)
    found = stack.finished(run)
    taken = time.perf_counter() - began
    if len(found["trials"]) != trials or not all(trial["model"] for trial in found["trials"]):
        raise RuntimeError(f"of {trials} trials, {len(found['trials'])} were told")
    yield table.rate(f"{trials} trials of one grid", trials / taken, bare=bare, least=least)
    yield table.megabytes("  memory of the stack grew by", sum(stack.memory().values()) - before)
