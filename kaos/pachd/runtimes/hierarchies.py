"""Where this process may make cgroups: in the kernel's version 1, in version 2, or in both side by side."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WANTED: Final = frozenset({"memory", "cpu", "pids"})
PROCS: Final = "cgroup.procs"
V1: Final = 1
V2: Final = 2


@dataclass(frozen=True)
class Hierarchy:
    """A directory in which cgroups can be made, and which controllers these have."""

    path: Path
    version: int
    controllers: frozenset[str]


def hierarchies(proc: Path = Path("/proc/self")) -> Iterator[Hierarchy]:
    """Where this process may put its children, as far as the files tell."""
    own = dict(_own_paths(proc))
    for root, mountpoint, kind, options in _mounts(proc):
        if kind == "cgroup2":
            path = _inside(mountpoint, root, own.get("", "/"))
            yield from _delegated(path, mountpoint)
        elif kind == "cgroup":
            controllers = options & own.keys()
            path = _inside(mountpoint, root, own[min(controllers)]) if controllers else mountpoint
            if controllers & (WANTED | {"cpuacct"}) and os.access(path, os.W_OK):
                yield Hierarchy(path, V1, frozenset(controllers))


def _own_paths(proc: Path) -> Iterator[tuple[str, str]]:
    """The path of this process for each controller of version 1, and for "" that of version 2."""
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _mounts(proc: Path) -> Iterator[tuple[str, Path, str, set[str]]]:
    for line in (proc / "mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        _, _, _, root, mountpoint, *_ = left.split(" ")
        kind, _, options = right.split(" ", 2)
        yield root, Path(mountpoint), kind, set(options.split(","))


def _inside(mountpoint: Path, root: str, path: str) -> Path:
    """Where `path` is seen: in a container, a mount shows only what lies below its own root."""
    below = mountpoint / os.path.relpath(path, root)
    return below if path.startswith(root) and below.is_dir() else mountpoint


def _delegated(path: Path, mountpoint: Path) -> Iterator[Hierarchy]:
    """The nearest place, from our own upwards, whose children get controllers and where we may make some.

    Version 2 gives no controllers to children of a cgroup that holds processes, as our own does; above it they are
    mostly on: systemd does so, for a user's own services too.
    """
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            controllers = frozenset((place / "cgroup.subtree_control").read_text().split()) & WANTED
            if controllers and os.access(place, os.W_OK) and os.access(place / PROCS, os.W_OK):
                yield Hierarchy(place, V2, controllers)
                return
        if place == mountpoint:
            return
