"""Runs containers of real images by podman, where PACHD_RUNTIME asks for it.

Podman keeps a container of an engine that was killed running; the next engine ends it before it starts any.
"""

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from kaos.pachd.runtimes import hosted, scratch
from kaos.pachd.runtimes.cgroups import PIDS, Cgroup, Usage
from kaos.pachd.runtimes.container import INPUTS, Container, Exit, Output
from kaos.pachd.runtimes.exits import KILLED, NOT_STARTED, LastLine, exit_of, not_started
from kaos.pachd.runtimes.process import NotStarted, Process, supervise

_LABEL: Final = "kaos-engine"
# What bubblewrap's containers may not do, these may not either. Podman would pass on the host's proxies, which may
# hold passwords, and would keep a copy of the output.
_ALWAYS: Final = (
    *("--rm", "--interactive", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--http-proxy=false", "--log-driver", "none", "--pids-limit", str(PIDS)),
)


# Podman would raise these two as far as they go, and fails where it may not.
_ULIMITS: Final = {"nofile": (resource.RLIMIT_NOFILE, 2**20), "nproc": (resource.RLIMIT_NPROC, PIDS)}


class Podman:
    """`engine` marks this engine's containers. `network` lets them use the host's network; otherwise they have none."""

    name = "podman"

    def __init__(self, directory: Path, engine: str, *, network: bool = False) -> None:
        self._directory = directory
        self._engine = engine
        self._network = network

    def sweep(self) -> None:
        """Ends the containers that an engine of this name left running when it was killed."""
        listed = ["podman", "ps", "--all", "--quiet", "--filter", f"label={_LABEL}={self._engine}"]
        left = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
        if left:
            _remove(*left)

    async def run(self, container: Container, output: Output) -> Exit:
        """Runs one container to its end."""
        own = scratch.make(self._directory, container.name)
        try:
            return await self._run(container, own, output)
        except (NotStarted, ValueError) as error:
            return not_started(str(error))
        finally:
            await asyncio.to_thread(scratch.discard, own)

    async def _run(self, container: Container, own: Path, output: Output) -> Exit:
        name = f"{self._engine}{container.name}"
        (own / "env").write_text("".join(_variables(container)))
        argv = ["podman", "run", "--name", name, "--label", f"{_LABEL}={self._engine}", *_ALWAYS]
        argv += ["--network", "host" if self._network else "none", "--env-file", str(own / "env"), *_options(container)]
        argv += [container.image, *container.cmd]
        no_cgroup, last = Cgroup({}), LastLine(output)

        def begin(stdin: IO[bytes], stdout: int) -> Process:
            return hosted.start(argv, os.environ, own, stdin, stdout, no_cgroup)

        async def kill(process: Process) -> None:
            if process.returncode is None:
                await hosted.kill(process, no_cgroup, grace=0)
                await asyncio.to_thread(_remove, name)

        ended = await supervise(begin, kill, stdin=container.stdin, output=last, seconds=container.limits.seconds)
        if ended.status == NOT_STARTED:
            return not_started(str(last))
        # Podman's own word for it, OOMKilled, is wrong with version 1 of cgroups; nothing else sends this signal.
        killed = ended.status == KILLED and not ended.timed_out
        # What was measured is the program `podman`, and not the container.
        return exit_of(replace(ended, cpu_seconds=None), Usage(None, None, int(killed)), container.limits)


def _remove(*containers: str) -> None:
    subprocess.run(
        ["podman", "rm", "--force", "--time", "0", "--ignore", *containers], capture_output=True, check=False
    )


def _variables(container: Container) -> Iterator[str]:
    gpus = range(len(container.limits.gpus))
    for name, value in {**container.env, "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}.items():
        if "\n" in name + value:
            raise ValueError(f"the environment variable {name} holds a line break, which podman can't pass on")
        yield f"{name}={value}\n"


def _options(container: Container) -> Iterator[str]:
    for name, source in container.inputs:
        yield from _mount(source, f"{INPUTS}/{name}", "ro=true")
    yield from _mount(container.out, f"{INPUTS}/out", "ro=false")
    if container.cmd:
        yield "--entrypoint="
    if container.workdir:
        yield from ("--workdir", container.workdir)
    for name, (number, most) in _ULIMITS.items():
        hard = resource.getrlimit(number)[1]
        yield f"--ulimit={name}={most if hard == resource.RLIM_INFINITY else min(hard, most)}"
    limits = container.limits
    if limits.cpu is not None:
        yield from ("--cpus", f"{limits.cpu:g}")
    if limits.memory is not None:
        yield from ("--memory", f"{limits.memory}b", "--memory-swap", f"{limits.memory}b")
    for index in limits.gpus:
        # By the specification that the NVIDIA container toolkit writes (CDI), with the driver's libraries.
        yield from ("--device", f"nvidia.com/gpu={index}")


def _mount(source: Path, target: str, option: str) -> Iterator[str]:
    if "," in f"{source}{target}":
        raise ValueError(f"{target} has a comma in it, which podman can't mount")
    yield from ("--mount", f"type=bind,src={source.absolute()},dst={target},{option}")
