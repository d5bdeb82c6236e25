"""Chooses how containers are run on this machine, and says why, once, when the engine starts."""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kaos.pachd.runtimes import scratch
from kaos.pachd.runtimes.bubblewrap import Bubblewrap
from kaos.pachd.runtimes.cgroups import Cgroups, usable
from kaos.pachd.runtimes.container import Container, Exit, Output, Runtime
from kaos.pachd.runtimes.gpus import Gpu, installed
from kaos.pachd.runtimes.plain import Plain
from kaos.pachd.runtimes.podman import Podman
from kaos.pachd.runtimes.program import Program
from shared.images import ImageStore
from shared.sandbox import available

# Of the hash of an engine's directory: enough to tell apart the engines of one machine.
_PREFIX_DIGITS: Final = 10
_MEANING: Final = {
    "memory": "memory only process by process",
    "cpu": "cpu not at all",
    "pids": "processes only by the user's own limit",
}


class RuntimeMissing(Exception):
    """The runtime that was asked for doesn't work here: a sentence that says why, and what to do."""


def choose(
    setting: str,
    store: ImageStore,
    directory: Path,
    system_images: Mapping[str, Mapping[str, str]],
    *,
    network: bool = False,
) -> tuple[Runtime, str]:
    """The runtime for `setting` (auto, bubblewrap, podman or plain), and sentences for the user about it.

    `directory` is the engine's own, on the image store's disk if possible; what an engine that was killed left in it,
    in cgroups and in podman is removed, and its processes are killed. `network` lets user code use the network.
    Raises RuntimeMissing.
    """
    prefix = engine_prefix(directory)
    cgroups = usable(prefix)
    scratch.sweep(directory)
    runtime, why = _runtime(setting, store, directory, cgroups, prefix, gpus=installed(), network=network)
    return _ByImage(runtime, Program(system_images, directory, cgroups)), f"{why}{_limits(cgroups, runtime)}"


def engine_prefix(directory: Path) -> str:
    """What the names of all cgroups and podman containers of one engine begin with."""
    return f"kaos-{hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:_PREFIX_DIGITS]}-"


class _ByImage:
    """Runs system images as programs of this host, and everything else as user code."""

    def __init__(self, user: Runtime, system: Program) -> None:
        self.name = user.name
        self._user = user
        self._system = system

    async def run(self, container: Container, output: Output) -> Exit:
        """Runs one container to its end."""
        runtime = self._system if container.image in self._system.images else self._user
        return await runtime.run(container, output)


def _runtime(
    setting: str,
    store: ImageStore,
    directory: Path,
    cgroups: Cgroups,
    prefix: str,
    *,
    gpus: tuple[Gpu, ...],
    network: bool,
) -> tuple[Runtime, str]:
    if setting == "podman":
        if shutil.which("podman") is None:
            raise RuntimeMissing("podman is not installed. Install it, or set PACHD_RUNTIME to another runtime.")
        podman = Podman(directory, prefix, network=network)
        podman.sweep()
        return podman, "Jobs run in podman containers, as PACHD_RUNTIME says."
    missing = "PACHD_RUNTIME says so." if setting == "plain" else _why_no_sandbox(directory)
    if missing is None:
        said = "with the host's network" if network else "without network"
        return (
            Bubblewrap(store, directory, cgroups, gpus=gpus, network=network),
            f"Jobs run in bubblewrap sandboxes, {said}.",
        )
    if setting == "bubblewrap":
        raise RuntimeMissing(f"bubblewrap can't run jobs here. {missing} Or set PACHD_RUNTIME to plain or podman.")
    plain = Plain(store, directory, cgroups, gpus=gpus)
    paths = "one at a time, since all of them see /pfs" if plain.has_link else "with /pfs replaced in their commands"
    return plain, f"JOBS ARE NOT ISOLATED: they run as programs of this machine, with your rights, {paths}. {missing}"


def _why_no_sandbox(directory: Path) -> str | None:
    if sys.platform != "linux":
        return "bubblewrap works on Linux only."
    return available(directory)


def _limits(cgroups: Cgroups, runtime: Runtime) -> str:
    if not cgroups.lacking or runtime.name == "podman":
        return ""
    lacking = ", ".join(_MEANING[name] for name in cgroups.lacking)
    return f" This machine's cgroups can't be written, so limits hold less: {lacking}."
