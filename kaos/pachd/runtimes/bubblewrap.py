"""Runs containers in namespaces of their own, by bubblewrap over the overlay of an image's layers."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import structlog

from kaos.pachd.runtimes import rlimits, scratch
from kaos.pachd.runtimes.cgroups import Cgroup, Cgroups
from kaos.pachd.runtimes.container import INPUTS, Container, Exit, Output
from kaos.pachd.runtimes.exits import LastLine, exit_of, not_started
from kaos.pachd.runtimes.gpus import Gpu, device_files
from kaos.pachd.runtimes.process import NotStarted, Process, supervise
from shared.errors import NotFound
from shared.images import Image, ImageStore
from shared.sandbox import Bind, Sandbox, start

# A killed process leaves within milliseconds unless the disk it writes to hangs.
_PATIENCE_SECONDS: Final = 1.5
# Two short documents of JSON.
_STATUS_BYTES: Final = 4096
# Where libraries of many GPUs read how these are connected.
_TOPOLOGY: Final = ("/sys/bus/pci", "/sys/devices")

log = structlog.get_logger()


class Bubblewrap:
    """User code sees its image, its inputs and its output; of the host its system directories, read-only.

    `network` lets containers use the host's network; otherwise they have none.
    """

    name = "bubblewrap"

    def __init__(
        self, store: ImageStore, directory: Path, cgroups: Cgroups, *, gpus: Sequence[Gpu] = (), network: bool = False
    ) -> None:
        self._store = store
        self._directory = directory
        self._cgroups = cgroups
        self._gpus = tuple(gpus)
        self._network = network

    async def run(self, container: Container, output: Output) -> Exit:
        """Runs one container to its end."""
        try:
            image = self._store.resolve(container.image)
        except NotFound as error:
            raise LookupError(error.message) from error
        own = scratch.make(self._directory, container.name, "upper", "work")
        cgroup = self._cgroups.create(container.name, container.limits)
        try:
            sandbox = self._sandbox(container, image, own)
            return await self._run(container, sandbox, cgroup, output)
        except IndexError:
            return not_started(f"GPU {max(container.limits.gpus)} was given, and there are {len(self._gpus)}.")
        finally:
            cgroup.remove()
            await asyncio.to_thread(scratch.discard, own)

    async def _run(self, container: Container, sandbox: Sandbox, cgroup: Cgroup, output: Output) -> Exit:
        last = LastLine(output)
        with _status_pipe() as (reader, writer):

            def begin(stdin: IO[bytes], stdout: int) -> Process:
                argv = container.cmd or (*sandbox.image.entrypoint, *sandbox.image.cmd)
                process = start(
                    sandbox,
                    argv,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=subprocess.STDOUT,
                    joins=cgroup.joins,
                    status=writer,
                )
                rlimits.apply(process.pid, container.limits, self._cgroups.lacking)
                return process

            status = _Status(reader)
            try:
                ended = await supervise(
                    begin,
                    lambda process: _kill(process, cgroup, status),
                    stdin=container.stdin,
                    output=last,
                    seconds=container.limits.seconds,
                )
            except NotStarted as error:
                return not_started(str(error))
            usage = cgroup.usage()
            ran = status.read().get("exit-code") is not None or ended.status <= 0 or ended.timed_out
        if not ran and not usage.out_of_memory:
            return not_started(str(last).removeprefix("bwrap: ").removeprefix("execvp "))
        return exit_of(ended.status, usage, container.limits, timed_out=ended.timed_out)

    def _sandbox(self, container: Container, image: Image, own: Path) -> Sandbox:
        gpus = [self._gpus[index] for index in container.limits.gpus]
        return Sandbox(
            image,
            self._store,
            own / "upper",
            own / "work",
            binds=(
                *(Bind(source, f"{INPUTS}/{name}") for name, source in container.inputs),
                Bind(container.out, f"{INPUTS}/out", writable=True),
                *(Bind(path, f"/dev/{path.name}", device=True) for path in device_files(gpus)),
                *(Bind(Path(path), path) for path in _TOPOLOGY if gpus),
            ),
            # CUDA counts what it can open, whatever the host calls it.
            env={**image.env, **container.env, "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(len(gpus))))},
            cwd=container.workdir or image.workdir,
            network=self._network,
            volatile=True,
        )


@contextlib.contextmanager
def _status_pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


class _Status:
    """What bubblewrap has told so far of the sandbox it made: numbers by their names."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._told: dict[str, int] = {}

    def read(self) -> dict[str, int]:
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._reader, _STATUS_BYTES).splitlines():
                self._told.update(json.loads(line))
        return self._told


async def _kill(process: Process, cgroup: Cgroup, status: "_Status") -> None:
    """Kills bubblewrap, which takes the whole pid namespace with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    gone = await cgroup.emptied() if cgroup else await _gone(status.read().get("child-pid"))
    if not gone:
        log.error("runtime.not-killed", pid=process.pid, help="a process of a container hangs in the kernel")


async def _gone(first: int | None) -> bool:
    """Waits for the first process of the namespace, which is the last to leave it."""
    if first is None:
        return True
    try:
        descriptor = os.pidfd_open(first)
    except ProcessLookupError:
        return True
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await ended.wait()
    except TimeoutError:
        return False
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
