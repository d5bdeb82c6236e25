"""Starts servers together, starts them anew when they end, and stops them in the opposite order."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kaos.stack import process
from kaos.stack.home import open_log, trim_log
from kaos.stack.process import Process, why
from shared.errors import KaosError

# Warm, the slowest takes 2 s; with no byte code yet, on a slow and busy disk, about 15.
_START_SECONDS: Final = 60.0
_ASK_SECONDS: Final = 0.02
# Whoever ends sooner after its start than this is not well, and gets ever more time: 0.1, 0.2, 0.4, … 10 s.
_STEADY_SECONDS: Final = 20.0
_FIRST_DELAY_SECONDS: Final = 0.1
_LAST_DELAY_SECONDS: Final = 10.0
_TRIM_SECONDS: Final = 60.0
_LAST_WORDS_BYTES: Final = 4096
_LAST_WORDS_LENGTH: Final = 400


# Asks a server whether it serves.
Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Server:
    """A program to keep running. `grace`: seconds it gets to end in order before it is killed."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    log: Path
    port: int
    answers: Probe
    grace: float


@dataclass
class Watched:
    """A server and what is becoming of it. `crashes` counts its early ends in a row; times are of the clock."""

    server: Server
    process: Process | None = None
    started: float = 0.0
    seconds_to_answer: float = 0.0
    restarts: int = 0
    crashes: int = 0
    last_end: str = ""


# Hears what happens to a server, in a phrase.
Tell = Callable[[Watched, str], None]


async def supervise(watched: Sequence[Watched], *, until: asyncio.Event, ready: Callable[[], None], tell: Tell) -> None:
    """Runs the servers until `until` is set, and leaves none behind. Calls `ready` once all of them answer.

    Raises KaosError `stack.start` where one of them does not come up.
    """
    try:
        if await _before(until, _start_all(watched)):
            ready()
            await _before(until, _keep_all(watched, tell))
    finally:
        for each in reversed(watched):
            await _stop(each)


async def _before(until: asyncio.Event, work: Awaitable[None]) -> bool:
    """Does the work, unless `until` comes first and cancels it. Returns whether it was done; raises what it raises."""
    working, told = asyncio.ensure_future(work), asyncio.create_task(until.wait())
    try:
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        told.cancel()
        await asyncio.wait({working, told})
    if working.cancelled():
        return False
    working.result()
    return True


async def _start_all(watched: Sequence[Watched]) -> None:
    starting = [asyncio.create_task(_start(each)) for each in watched]
    try:
        await asyncio.gather(*starting)
    finally:
        for task in starting:
            task.cancel()


async def _start(watched: Watched) -> None:
    server, begun = watched.server, time.monotonic()
    said_before = server.log.stat().st_size if server.log.exists() else 0
    try:
        running = _spawn(watched)
    except OSError as error:
        raise KaosError(
            "stack.start", f"{server.name} can't be started: {server.command[0]}: {error.strerror}"
        ) from error
    ended, answered = asyncio.create_task(running.ended()), asyncio.create_task(_answered(server))
    try:
        await asyncio.wait({ended, answered}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        answered.cancel()
        await asyncio.wait({ended, answered})
    if not ended.cancelled():
        watched.process = None
        raise _not_started(server, f"ended with {why(ended.result())} before it answered", said_before)
    if answered.cancelled():
        raise _not_started(server, f"does not answer after {_START_SECONDS:.0f} s", said_before)
    watched.seconds_to_answer = time.monotonic() - begun


async def _answered(server: Server) -> None:
    while not await server.answers():  # noqa: ASYNC110  # a server's readiness has no event
        await asyncio.sleep(_ASK_SECONDS)


def _spawn(watched: Watched) -> Process:
    server = watched.server
    log = open_log(server.log)
    try:
        watched.process = process.start(server.command, server.environment, log, cwd=server.folder)
    finally:
        os.close(log)
    watched.started = time.time()
    return watched.process


async def _keep_all(watched: Sequence[Watched], tell: Tell) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_trim([each.server.log for each in watched]))
        for each in watched:
            group.create_task(_keep(each, tell))


async def _keep(watched: Watched, tell: Tell) -> None:
    while True:
        if watched.process is not None:
            watched.last_end = why(await watched.process.ended())
            watched.process = None
        lived = time.time() - watched.started
        watched.crashes = 1 if lived >= _STEADY_SECONDS else watched.crashes + 1
        delay = min(_FIRST_DELAY_SECONDS * 2 ** (watched.crashes - 1), _LAST_DELAY_SECONDS)
        tell(watched, f"ended with {watched.last_end}; starts again in {delay:.1f} s")
        await asyncio.sleep(delay)
        try:
            _spawn(watched)
        except OSError as error:
            watched.started, watched.last_end = time.time(), f"no start: {error.strerror}"
        else:
            watched.restarts += 1
            tell(watched, "started again")


async def _stop(watched: Watched) -> None:
    if watched.process is None:
        return
    watched.process.terminate()
    ended = asyncio.create_task(watched.process.ended())
    await asyncio.wait({ended}, timeout=watched.server.grace)
    if not ended.done():
        watched.process.kill()
    await ended
    watched.process = None


async def _trim(logs: Sequence[Path]) -> None:
    while True:
        await asyncio.sleep(_TRIM_SECONDS)
        for log in logs:
            trim_log(log)


def _not_started(server: Server, what: str, said_before: int) -> KaosError:
    words = _last_words(server.log, said_before)
    said = f", saying: {words}" if words else ""
    return KaosError("stack.start", f"{server.name} {what}{said}. Its log: {server.log}")


def _last_words(log: Path, said_before: int) -> str:
    """The last line that it wrote since."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _LAST_WORDS_BYTES, min(said_before, size)))
            lines = file.read(_LAST_WORDS_BYTES).decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:_LAST_WORDS_LENGTH] if lines else ""
