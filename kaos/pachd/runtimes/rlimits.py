"""What limits of single processes can do where there are no cgroups: less, but better than nothing."""

import resource
import shutil
from collections.abc import Collection

from kaos.pachd.runtimes.cgroups import PIDS
from kaos.pachd.runtimes.container import Limits


def prefix(limits: Limits, lacking: Collection[str]) -> tuple[str, ...]:
    """The words before a command that limit it, and all that it starts, in what cgroups are `lacking`.

    Memory is limited for each process by itself, which then fails to get more and is not killed. The number of
    processes is that of the user, and of no effect for root. A share of the processors can't be limited so.
    """
    program = shutil.which("prlimit")
    options = []
    if "memory" in lacking and limits.memory is not None:
        # The data segment and what is mapped like it: unlike the address space, what CUDA reserves doesn't count.
        options.append(f"--data={limits.memory}")
    if "pids" in lacking:
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        options.append(f"--nproc={PIDS if hard == resource.RLIM_INFINITY else min(PIDS, hard)}")
    return (program, *options, "--") if program and options else ()
