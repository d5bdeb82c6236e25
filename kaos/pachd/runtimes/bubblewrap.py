"""Runs containers in namespaces of their own, by bubblewrap over the overlay of an image's layers."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
# Two short documents.
_STATUS_BYTES: Final = 4096
# A process that is told to stop finishes the system call that it is in.
_STOPPED_SECONDS: Final = 0.002
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
        except NotStarted as error:
            return not_started(str(error))
        except IndexError:
            return not_started(f"GPU {max(container.limits.gpus)} was given, and there are {len(self._gpus)}.")
        finally:
            cgroup.remove()
            await asyncio.to_thread(scratch.discard, own)

    async def _run(self, container: Container, sandbox: Sandbox, cgroup: Cgroup, output: Output) -> Exit:
        last = LastLine(output)
        with _status_pipe() as (reader, writer):

            def begin(stdin: IO[bytes], stdout: int) -> Process:
                return start(
                    sandbox,
                    container.cmd or (*sandbox.image.entrypoint, *sandbox.image.cmd),
                    stdin=stdin,
                    stdout=stdout,
                    stderr=subprocess.STDOUT,
                    prefix=rlimits.prefix(container.limits, self._cgroups.lacking),
                    joins=cgroup.joins,
                    status=writer,
                )

            ended = await supervise(
                begin,
                lambda process: _kill(process, cgroup),
                stdin=container.stdin,
                output=last,
                seconds=container.limits.seconds,
            )
            ran = _ran(reader)
        usage = cgroup.usage()
        if not (ran or ended.timed_out or usage.out_of_memory or ended.status <= 0):
            return not_started(str(last).removeprefix("bwrap: ").removeprefix("execvp "))
        # bubblewrap doesn't wait for its processes, so the kernel counts their time only by cgroups.
        return exit_of(replace(ended, cpu_seconds=None), usage, container.limits)

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
    """Where bubblewrap says whether it came to the program."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def _ran(status: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        return b'"exit-code"' in os.read(status, _STATUS_BYTES)
    return False


async def _kill(process: Process, cgroup: Cgroup) -> None:
    """Ends the namespace of a process that waits for its first one, unless it has ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            # So that it starts nothing more, and doesn't complain of the death of its child.
            os.kill(process.pid, signal.SIGSTOP)
            await asyncio.sleep(_STOPPED_SECONDS)
            for first in _children(process.pid):
                await _kill_first(first)
            os.kill(process.pid, signal.SIGKILL)
    if not await cgroup.emptied():
        log.error("runtime.not-killed", pid=process.pid, help="a process of a container hangs in the kernel")


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


async def _kill_first(process: int) -> None:
    """Kills the first process of a namespace, which takes all others along, and ends after them."""
    descriptor, ended = os.pidfd_open(process), asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await ended.wait()
    except TimeoutError:
        log.warning("runtime.not-killed", pid=process, help="a process of a container hangs in the kernel")
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
