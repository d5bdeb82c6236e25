"""What limits of single processes can do where there are no cgroups: less, but better than nothing."""

import contextlib
import resource
import sys
from collections.abc import Collection

from kaos.pachd.runtimes.cgroups import PIDS
from kaos.pachd.runtimes.container import Limits


def apply(pid: int, limits: Limits, lacking: Collection[str]) -> None:
    """Limits a process that has just started, and what it will start, in what cgroups are `lacking`.

    Memory is limited for each process by itself, which then fails to get more and is not killed. The number of
    processes is that of the user, and of no effect for root. A share of the processors can't be limited so.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(ProcessLookupError):
        if "memory" in lacking and limits.memory is not None:
            # The data segment and what is mapped like it: unlike the address space, what CUDA reserves doesn't count.
            resource.prlimit(pid, resource.RLIMIT_DATA, (limits.memory, limits.memory))
        if "pids" in lacking:
            _, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
            most = PIDS if hard == resource.RLIM_INFINITY else min(PIDS, hard)
            resource.prlimit(pid, resource.RLIMIT_NPROC, (most, most))
