"""What an engine that was killed left in cgroups is ended by the next one, however many containers it had."""

import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from kaos.pachd.runtimes.cgroups import Cgroups, usable
from kaos.pachd.runtimes.container import Limits

CONTAINERS = 3
BOUND_SECONDS = 10


@contextmanager
def left_in(cgroups: Cgroups, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in the cgroups of a container, which nobody looks after."""
    joins = " && ".join(f"echo 0 > {shlex.quote(str(file))}" for file in cgroups.create(name, Limits()).joins)
    with subprocess.Popen(["sh", "-c", f"{joins} && echo joined && exec sleep 60"], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"joined\n"
            yield process
        finally:
            process.kill()


def test_the_next_engine_ends_the_processes_of_all_containers() -> None:
    prefix = f"kaos-test-{time.monotonic_ns()}-"
    cgroups = usable(prefix)
    if cgroups.lacking:
        pytest.skip(f"the cgroups of this machine can't be written: {', '.join(cgroups.lacking)}")
    with ExitStack() as stack:
        left = [stack.enter_context(left_in(cgroups, str(number))) for number in range(CONTAINERS)]
        usable(prefix)
        assert [process.wait(BOUND_SECONDS) for process in left] == [-9] * CONTAINERS
