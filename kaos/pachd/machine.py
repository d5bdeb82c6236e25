"""What this machine has for jobs: cores, memory, GPUs."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kaos.pachd.pps.slots import Capacity
from kaos.pachd.runtimes.gpus import installed

# Where a container finds what memory it may use; on a machine itself there is no such file, or a number beyond all.
_BOUNDS: Final = ("memory.max", "memory/memory.limit_in_bytes")


def capacity(workers: int, *, cgroups: Path = Path("/sys/fs/cgroup")) -> Capacity:
    """What all datums together may use, where so many `workers` share the cores."""
    return Capacity(workers, memory(cgroups), tuple(range(len(installed()))))


def memory(cgroups: Path) -> int:
    """Bytes of memory: the machine's, or less where this is a container that may not use all of it."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_bounds(cgroups)])


def _bounds(cgroups: Path) -> Iterator[int]:
    for name in _BOUNDS:
        with contextlib.suppress(OSError, ValueError):  # "max" is no bound
            yield int((cgroups / name).read_text())
