"""Does one datum: lays out its inputs, runs user code as often as it may be tried, takes in what it wrote."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from kaos.pachd.database import Database
from kaos.pachd.pfs.names import Row
from kaos.pachd.pps.datums import InputFile, files_of, find_datum
from kaos.pachd.pps.logs import JobLog
from kaos.pachd.pps.outputs import OutputError, take_in
from kaos.pachd.pps.progress import Done
from kaos.pachd.pps.watching import watch
from kaos.pachd.runtimes import scratch
from kaos.pachd.runtimes.container import Container, Exit, Limits, Runtime
from kaos.pachd.runtimes.exits import KILLED, NOT_STARTED
from kaos.pachd.runtimes.process import uninterrupted
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.checkouts import Checkouts
from kaos.pachd.storage.trees import Node

T = TypeVar("T")
# Enough of a hash to tell containers of one machine apart in a process list.
_SHORT: Final = 12


@dataclass(frozen=True)
class Workshop:
    """What it takes to do datums."""

    database: Database
    blobs: Blobs
    checkouts: Checkouts
    runtime: Runtime
    scratch: Path


@dataclass(frozen=True)
class Work:
    """One datum of a job: its row, what the pipeline says, and the files it is given."""

    job: Row
    spec: Any
    datum: Row
    files: tuple[InputFile, ...]
    inputs: tuple[tuple[str, Path], ...]


def look_up(connection: sqlite3.Connection, job: Row, spec: Any, number: int, checkouts: Checkouts) -> Work | None:
    """A datum, its inputs laid out; None where the job has been deleted."""
    datum = find_datum(connection, job["id"], number)
    if datum is None:
        return None
    files = files_of(datum)
    return Work(job, spec, datum, files, tuple((_place(file), checkouts.path(connection, file.node)) for file in files))


# Waits for room on the machine, and holds it: see Slots.take.
Turn = Callable[[], AbstractAsyncContextManager[Limits]]


async def do(work: Work, turn: Turn, log: JobLog, shop: Workshop) -> Done:
    """Runs user code until it succeeds or has been tried `datum_tries` times; then `err_cmd`, which may recover it.

    `turn` is taken while user code runs, and not for what is done before and afterwards.
    """
    transform, done = work.spec.transform, Done("failed", 0, reason="it was not tried")
    program = _Program(tuple(transform.cmd), _lines(transform.stdin))
    for number in range(work.spec.datum_tries):
        done, ended = await _attempt(work, number, program, turn, log, shop)
        log.say(work.datum["id"], _told(done, ended))
        if done.state == "success":
            return done
    if transform.err_cmd:
        program = _Program(tuple(transform.err_cmd), _lines(transform.err_stdin))
        handled, _ = await _attempt(work, work.spec.datum_tries, program, turn, log, shop)
        if handled.state == "success":
            return Done("recovered", done.nanoseconds, reason=done.reason)
    return done


def give_up(work: Work, reason: str, log: JobLog) -> Done:
    """What becomes of a datum that is not to be tried any more: as if user code had failed for this reason."""
    done = Done("recovered" if work.spec.transform.err_cmd else "failed", 0, reason=reason)
    log.say(work.datum["id"], _told(done, Exit(KILLED, reason)))
    return done


@dataclass(frozen=True)
class _Program:
    """What an attempt runs."""

    cmd: tuple[str, ...]
    stdin: bytes


async def _attempt(  # noqa: PLR0917  # they are the attempt
    work: Work, number: int, program: _Program, turn: Turn, log: JobLog, shop: Workshop
) -> tuple[Done, Exit]:
    name = f"kaos-{work.job['commit_set'][:_SHORT]}-{work.job['id']}-{work.datum['number']}-{number}"
    room = shop.scratch / name
    out = room / "out"
    # The scheduler has removed what an engine that was killed left; two directories are no work for a thread.
    out.mkdir(parents=True)
    container = Container(
        name=name,
        image=work.spec.transform.image,
        cmd=program.cmd,
        inputs=work.inputs,
        out=out,
        stdin=program.stdin,
        env=_environment(work),
        workdir=work.spec.transform.working_dir,
    )
    said = log.of(work.datum["id"])
    try:
        async with turn() as limits, _watched(out, partial(log.say, work.datum["id"])):
            started = time.monotonic_ns()
            ended = await shop.runtime.run(replace(container, limits=limits), said.feed)
            nanoseconds = time.monotonic_ns() - started
        said.end()
        return await _judged(ended, nanoseconds, container, work, shop), ended
    except LookupError as error:
        return Done("failed", 0, reason=str(error)), Exit(NOT_STARTED, str(error))
    finally:
        if room.exists():
            await uninterrupted(_in_thread(lambda: scratch.discard(room)))


@asynccontextmanager
async def _watched(out: Path, say: Callable[[str], None]) -> AsyncIterator[None]:
    watching = asyncio.create_task(watch(out, say))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _judged(ended: Exit, nanoseconds: int, container: Container, work: Work, shop: Workshop) -> Done:
    if ended.code != 0 and ended.code not in work.spec.transform.accept_return_code:
        return Done("failed", nanoseconds, reason=ended.reason or f"exit code {ended.code}")
    try:
        written = await _in_thread(lambda: _taken_in(container, shop.blobs))
    except OutputError as error:
        return Done("failed", nanoseconds, reason=str(error))
    return Done("success", nanoseconds, written=tuple(written))


def _taken_in(container: Container, blobs: Blobs) -> list[tuple[str, Node]]:
    try:
        return take_in(container.out, container.inputs, blobs)
    finally:
        scratch.discard(container.out.parent)


def _told(done: Done, ended: Exit) -> str:
    """The engine's own line about an attempt: what Pachyderm's API has no field for."""
    return json.dumps(
        {
            "datum": done.state,
            "reason": done.reason,
            "seconds": round(done.nanoseconds / 1e9, 6),
            "cpu_seconds": ended.cpu_seconds,
            "peak_bytes": ended.peak,
        }
    )


def _lines(stdin: Any) -> bytes:
    return "".join(f"{line}\n" for line in stdin).encode()


def _place(file: InputFile) -> str:
    """Where user code finds it, below /pfs."""
    return f"{file.name}{file.path.rstrip('/')}"


def _environment(work: Work) -> dict[str, str]:
    """What Pachyderm tells user code, and the pipeline's own variables."""
    found = dict(work.spec.transform.env)
    for file in work.files:
        found[file.name] = f"/pfs/{_place(file)}"
        found[f"{file.name}_COMMIT"] = file.commit_set
    return found | {
        "PACH_JOB_ID": work.job["commit_set"],
        "PACH_OUTPUT_COMMIT_ID": work.job["commit_set"],
        "PACH_DATUM_ID": work.datum["id"],
        "PPS_PIPELINE_NAME": work.job["name"],
        "PPS_PROJECT_NAME": work.job["project"],
    }


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
