"""`python -m bench [PART …]`: starts a stack of its own, measures, and prints a table (with --json, JSON)."""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

from bench import bulk, large, remote, single, table
from bench.stack import Stack, kaos, started
from bench.table import Figure

_PARTS = ("start", "single", "runs", "grid", "grid1000", "large", "manifest")


def main() -> int:
    """0 where every target is met."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures kaos against the bare script.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}; all where none is named")
    parser.add_argument("--json", action="store_true", help="write JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(_PARTS):
        parser.error(f"there is no part {', '.join(unknown)}")
    figures: list[Figure] = []
    with started() as stack:
        for part in arguments.parts or _PARTS:
            for figure in _measured(part, stack, itertools.count(time.time_ns())):
                figures.append(figure)
                print(f"{figure.name}: {figure.value}", file=sys.stderr, flush=True)
    print(json.dumps([asdict(figure) for figure in figures]) if arguments.json else table.show(figures))
    return 1 if any(figure.met is False for figure in figures) else 0


def _measured(part: str, stack: Stack, numbers: "itertools.count[int]") -> Iterator[Figure]:
    match part:
        case "start":
            yield from _start(stack)
        case "single":
            yield from single.measure(stack, numbers)
        case "runs":
            yield from bulk.runs(stack, numbers)
        case "grid":
            yield from bulk.grid(stack, numbers, 100, least=0.6)
        case "grid1000":
            yield from bulk.grid(stack, numbers, 1000, least=None)
        case "manifest":
            yield from remote.measure(stack)
        case _:
            yield from large.measure(stack)


def _start(stack: Stack) -> Iterator[Figure]:
    yield table.seconds("stack start, cold", [stack.cold_seconds])
    yield table.megabytes("idle memory of the stack", sum(stack.memory().values()), most=300)
    warm = []
    for _ in range(3):
        stack.kaos("down")
        began = time.perf_counter()
        stack.kaos("up", "--detach")
        warm.append(time.perf_counter() - began)
    yield table.seconds("stack start, warm", warm, target=3.0)
    helped = []
    for _ in range(9):
        began = time.perf_counter()
        kaos(stack.env, "--help")
        helped.append(time.perf_counter() - began)
    yield table.seconds("kaos --help", helped, target=0.15)


if __name__ == "__main__":
    sys.exit(main())
