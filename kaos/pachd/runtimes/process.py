"""Follows one process tree to its end: its output as it comes, its clock, its cancellation."""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import IO, Any, Final, TypeVar

from kaos.pachd.runtimes.container import Output

# The capacity of a pipe: what a process that has ended may have left in it.
_PIPE_BYTES: Final = 1 << 16

T = TypeVar("T")
Process = subprocess.Popen[bytes]
# Starts the process with its stdin, and the descriptor that takes its stdout and stderr.
Start = Callable[[IO[bytes], int], Process]
# Returns when no process of the tree is left but, perhaps, the first one as a zombie; may be called at any time.
Kill = Callable[[Process], Awaitable[None]]


class NotStarted(Exception):
    """The first program could not be executed at all; its text says why."""


@dataclass(frozen=True)
class Ended:
    """`status` is the exit code, or minus the signal. `cpu_seconds` are those of all processes that were waited for.

    The kernel tells of memory too, but what it says of a process counts this one, which started it.
    """

    status: int
    timed_out: bool
    cpu_seconds: float | None


async def supervise(start: Start, kill: Kill, *, stdin: bytes, output: Output, seconds: float | None) -> Ended:
    """Starts a process and returns when its whole tree is gone; when cancelled, it is gone before this raises.

    What the tree writes goes to `output` while the next piece waits in the pipe: a slow listener slows the program
    down, and memory does not grow. Must be called in a thread that lives as long as the engine (the kernel kills the
    tree with the thread that started it). Raises NotStarted, and what `output` raises.
    """
    process, reader = _launch(start, stdin)
    exited = _exit_of(process)
    listener = _Listener(reader, output)
    try:
        in_time = await _ends_in_time(exited, listener.failed, seconds)
    finally:
        try:
            status, usage = await uninterrupted(_end(process, exited, kill))
        finally:
            rest = listener.close()
    if rest:
        output(rest)
    return Ended(status, timed_out=not in_time, cpu_seconds=usage.ru_utime + usage.ru_stime)


class _Listener:
    """Passes on what comes through a pipe. `failed` gets the error of a listener that raises."""

    def __init__(self, reader: int, output: Output) -> None:
        self._reader = reader
        self._output = output
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(reader, self._hear)

    def _hear(self) -> None:
        try:
            chunk = os.read(self._reader, _PIPE_BYTES)
            if chunk:
                self._output(chunk)
            else:
                self._loop.remove_reader(self._reader)
        except BlockingIOError:
            pass
        except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
            self._loop.remove_reader(self._reader)
            self.failed.set_exception(error)

    def close(self) -> bytes:
        """What was written and not yet heard. Not all to the end: a process that escaped may hold the pipe open."""
        self._loop.remove_reader(self._reader)
        if self.failed.done():
            self.failed.exception()  # so that asyncio doesn't complain that nobody looked
        try:
            return os.read(self._reader, _PIPE_BYTES)
        except BlockingIOError:
            return b""
        finally:
            os.close(self._reader)


def _launch(start: Start, stdin: bytes) -> tuple[Process, int]:
    reader, writer = os.pipe()
    try:
        # A file and not a pipe: nobody has to write into it while the program reads.
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            process = start(given, writer)
    except (OSError, ValueError) as error:
        os.close(reader)
        raise NotStarted(str(error)) from error
    finally:
        os.close(writer)
    os.set_blocking(reader, False)
    return process, reader


def _exit_of(process: Process) -> "asyncio.Future[tuple[int, resource.struct_rusage]]":
    """Resolves when the process has ended; only wait4 tells what the tree used."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[tuple[int, resource.struct_rusage]] = loop.create_future()

    def reap() -> tuple[int, resource.struct_rusage]:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage

    descriptor = _descriptor_of(process)
    if descriptor is not None:

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            exited.set_result(reap())

        loop.add_reader(descriptor, ended)
        return exited

    def wait() -> None:
        found = reap()
        with contextlib.suppress(RuntimeError):  # the loop is closed: the engine is going down
            loop.call_soon_threadsafe(exited.set_result, found)

    threading.Thread(target=wait, name=f"wait-{process.pid}", daemon=True).start()
    return exited


def _descriptor_of(process: Process) -> int | None:
    """What becomes readable when the process ends; None where a thread must wait: on macOS, and on Linux before 5.3."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(process.pid)
    return None


async def _ends_in_time(exited: "asyncio.Future[Any]", failed: "asyncio.Future[None]", seconds: float | None) -> bool:
    """False when the time is up. Raises what listening raised."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait({exited, failed}, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        return exited.done()
    if failed.done():
        failed.result()
    return True


async def _end(
    process: Process, exited: "asyncio.Future[tuple[int, resource.struct_rusage]]", kill: Kill
) -> tuple[int, resource.struct_rusage]:
    await kill(process)
    return await exited


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Awaits it to the end, then lets a cancellation that came meanwhile take its course."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()
