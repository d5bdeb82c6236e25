"""Limits, accounts and the certain end of process trees, by the kernel's cgroups."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from kaos.pachd.runtimes.container import Limits
from kaos.pachd.runtimes.hierarchies import PROCS, V1, V2, WANTED, Hierarchy, hierarchies

# Nobody trains with more processes and threads than this (64 loaders of 64 threads); a fork bomb stops here.
PIDS: Final = 4096
# The kernel's own default, in microseconds.
_PERIOD: Final = 100_000
_POLL_SECONDS: Final = 0.002
# The kernel gives a page of such a file at a time.
_READ_BYTES: Final = 4096
# A killed process leaves within milliseconds unless the disk it writes to hangs.
_PATIENCE_SECONDS: Final = 1.5

log = structlog.get_logger()


@dataclass(frozen=True)
class Usage:
    """What the processes used, memory in bytes at its highest; and how many of them the kernel killed for memory."""

    cpu_seconds: float | None
    peak: int | None
    out_of_memory: int


class Cgroup:
    """The cgroups of one container, one directory in each hierarchy; none where there is no hierarchy."""

    def __init__(self, directories: dict[Path, Hierarchy]) -> None:
        self._directories = directories

    def __bool__(self) -> bool:
        return bool(self._directories)

    @property
    def joins(self) -> tuple[Path, ...]:
        """The files to which a process of a single thread writes 0 to come in.

        In version 1 that thread is moved, not the process: moving a process waits for all processors of the machine
        to pass a quiet moment, which takes 12 ms.
        """
        return tuple(
            directory / ("tasks" if place.version == V1 else PROCS) for directory, place in self._directories.items()
        )

    def usage(self) -> Usage:
        """What was used so far."""
        cpu = _first(self._read(V1, "cpuacct.usage"))
        micros = _first(self._read(V2, "cpu.stat", "usage_usec"))
        events = [*self._read(V1, "memory.oom_control", "oom_kill"), *self._read(V2, "memory.events", "oom_kill")]
        return Usage(
            cpu_seconds=cpu / 1e9 if cpu is not None else micros / 1e6 if micros is not None else None,
            peak=_first((*self._read(V1, "memory.max_usage_in_bytes"), *self._read(V2, "memory.peak"))),
            out_of_memory=sum(events),
        )

    def processes(self) -> set[int]:
        """The ids of all processes in it, whoever their parents are."""
        # A process joins one hierarchy after the other: whatever is in a later one is in the first.
        first = next(iter(self._directories), None)
        return {int(word) for word in _text(first / PROCS).split()} - {0} if first is not None else set()

    def kill(self) -> None:
        """Sends SIGKILL to everything in it; from then on nothing in it can start a process."""
        for directory, hierarchy in self._directories.items():
            with contextlib.suppress(OSError):
                if hierarchy.version == V1 and "pids" in hierarchy.controllers:
                    (directory / "pids.max").write_text("0")
                elif hierarchy.version == V2:
                    (directory / "cgroup.kill").write_text("1")
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    async def emptied(self) -> bool:
        """Kills until no process is left; False where some can't die."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.processes():
            if time.monotonic() > deadline:
                return False
            self.kill()
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def remove(self) -> None:
        """Removes the directories; what can't be removed yet is swept when the engine starts again."""
        for directory in self._directories:
            with contextlib.suppress(OSError):
                directory.rmdir()

    def _read(self, version: int, name: str, key: str = "") -> list[int]:
        """The number in a file of that name, or in its line `key`, from every hierarchy that has one."""
        controller = name.partition(".")[0]
        return [
            int(words[-1])
            for directory, place in self._directories.items()
            # In version 2 some files are there whatever is limited.
            if place.version == version and (version == V2 or controller in place.controllers)
            for words in map(str.split, _text(directory / name).splitlines())
            if (len(words) == 1 and not key) or (key and words[0] == key)
        ]


class Cgroups:
    """Makes the cgroups of one engine's containers; their names begin with `prefix`, which is the engine's own."""

    def __init__(self, prefix: str, places: Iterable[Hierarchy], *, pids: int = PIDS) -> None:
        self._prefix = prefix
        self._places = tuple(places)
        self._pids = pids

    @property
    def lacking(self) -> tuple[str, ...]:
        """What this machine can't limit by cgroups, of "memory", "cpu" and "pids"."""
        have = frozenset[str]().union(*(place.controllers for place in self._places))
        return tuple(sorted(WANTED - have))

    def create(self, name: str, limits: Limits) -> Cgroup:
        """The cgroups of a container; without the limits that this machine can't set."""
        directories: dict[Path, Hierarchy] = {}
        for place in self._places:
            directory = place.path / f"{self._prefix}{name}"
            try:
                directory.mkdir(exist_ok=True)
                directories[directory] = place
                _limit(directory, place, limits, self._pids)
            except OSError as error:
                log.warning("runtime.limit-not-set", container=name, cgroup=str(directory), error=str(error))
        return Cgroup(directories)

    def sweep(self) -> None:
        """Kills and removes what an engine of this prefix left behind when it was killed."""
        left: dict[str, dict[Path, Hierarchy]] = {}
        for place in self._places:
            for directory in place.path.glob(f"{self._prefix}*"):
                left.setdefault(directory.name, {})[directory] = place
        containers = [Cgroup(directories) for directories in left.values()]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(container.processes() for container in containers) and time.monotonic() < deadline:
            for container in containers:
                container.kill()
            time.sleep(_POLL_SECONDS)
        for container in containers:
            container.remove()
        if containers:
            log.info("runtime.cgroups-swept", count=len(containers))


def usable(prefix: str, *, pids: int = PIDS) -> Cgroups:
    """The cgroups that work here, each tried by a process that joins it; perhaps none. Sweeps first."""
    if not Path("/proc/self/cgroup").exists():
        return Cgroups(prefix, ())
    found = [place for place in hierarchies() if _works(place, prefix)]
    cgroups = Cgroups(prefix, found, pids=pids)
    cgroups.sweep()
    return cgroups


def _works(place: Hierarchy, prefix: str) -> bool:
    tried = Cgroups(f"{prefix}tried-", [place]).create(str(os.getpid()), Limits(cpu=1, memory=2**30))
    try:
        shell = shutil.which("sh") or "sh"
        script = " && ".join(f"echo 0 > {shlex.quote(str(file))}" for file in tried.joins)
        return bool(tried) and subprocess.run([shell, "-c", script], capture_output=True, check=False).returncode == 0
    finally:
        tried.remove()


def _limit(directory: Path, place: Hierarchy, limits: Limits, pids: int) -> None:
    def write(name: str, value: object) -> None:
        (directory / name).write_text(str(value))

    if "pids" in place.controllers:
        write("pids.max", pids)
    if "memory" in place.controllers and limits.memory is not None:
        if place.version == V1:
            write("memory.limit_in_bytes", limits.memory)
            if (directory / "memory.memsw.limit_in_bytes").exists():
                write("memory.memsw.limit_in_bytes", limits.memory)
        else:
            write("memory.max", limits.memory)
            if (directory / "memory.swap.max").exists():
                write("memory.swap.max", 0)
    if "cpu" in place.controllers and limits.cpu is not None:
        quota = max(int(limits.cpu * _PERIOD), _PERIOD // 100)
        if place.version == V1:
            write("cpu.cfs_quota_us", quota)
        else:
            write("cpu.max", f"{quota} {_PERIOD}")


def _text(path: Path) -> str:
    """What a file of the kernel's says; nothing where there is none. Path.read_text would take three times as long."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(descriptor, _READ_BYTES), b"")).decode()
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _first(numbers: Iterable[int]) -> int | None:
    return next(iter(numbers), None)
