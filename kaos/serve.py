"""`python -m kaos.serve [PART …]`: the composition root, which gives each function what it asks for and runs it.

Without parts all of them run in this one process. They stand and fall together: where one ends, the process does,
with exit code 1, and whoever supervises it (`kaos up`, a kubelet) starts it anew. SIGTERM ends it in order, with 0.
"""

import argparse
import asyncio
import contextlib
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import structlog

from shared import bucket, bus, pachyderm, progress, shutdown, telemetry
from shared.bucket import Bucket
from shared.bus import Bus
from shared.consumer import Ends, consume, runs_of
from shared.errors import KaosError, NotFound, Reject
from shared.events import Event
from shared.function import Function
from shared.images import ImageStore
from shared.jobs import Jobs
from shared.objects import Objects
from shared.pachyderm import Pachyderm
from shared.runs import Runs
from shared.settings import Settings

PARTS: Final = ("ingest", "build", "fetch", "train", "logs", "relay", "gateway")

log = structlog.get_logger()

Declare = Callable[[Bus, Bucket], Awaitable[None]]


@dataclass(frozen=True)
class Services:
    """The connections that all parts of one process share."""

    settings: Settings
    bus: Bus
    runs: Runs
    jobs: Jobs
    objects: Objects
    pachyderm: Pachyderm
    bucket: Bucket


def main(argv: Sequence[str]) -> int:
    """Runs the parts named until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kaos.serve", description="Runs the functions of kaos.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all where none is named")
    parts = parser.parse_args(argv).parts or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}: choose of {', '.join(PARTS)}")
    settings = Settings()
    telemetry.configure(settings)
    return asyncio.run(run(settings, parts))


async def run(settings: Settings, parts: Sequence[str], *, declare: Declare | None = None) -> int:
    """Connects, and serves until a signal; what goes wrong is logged. Returns the exit code.

    `declare` makes what the functions expect to find, where no deployment has done so.
    """
    for part in parts:
        _load(part)
    try:
        async with _connected(settings, declare) as services:
            return 0 if await serve(services, parts, until=shutdown.told()) else 1
    except KaosError as error:
        log.error(error.code, message=error.message)  # noqa: TRY400  # the sentence is the whole story
        return 1


def _load(part: str) -> None:
    """Imports what this process runs, and only that; before it connects, since nobody hears from it meanwhile."""
    match part:
        case "gateway":
            import_module("functions.gateway.app")
            import_module("functions.gateway.server")
        case "relay":
            import_module("functions.relay")
        case _:
            _functions(part)


def _functions(part: str) -> tuple[Function, ...]:
    found: tuple[Function, ...] = import_module(f"functions.{part}").FUNCTIONS
    return found


@contextlib.asynccontextmanager
async def _connected(settings: Settings, declare: Declare | None) -> AsyncIterator[Services]:
    log.info("serve.connects", nats=settings.nats_url, pachyderm=settings.pachyderm_address, store=settings.s3_endpoint)
    async with contextlib.AsyncExitStack() as opened:
        nats = await bus.connect(settings, source="serve")
        opened.push_async_callback(nats.close)
        engine = pachyderm.connect(settings)
        opened.push_async_callback(engine.close)
        store = bucket.connect(settings)
        opened.callback(store.close)
        if declare is not None:
            await declare(nats, store)
        runs, jobs, objects = await nats.runs(), await nats.jobs(), await nats.objects()
        yield Services(settings, nats, runs, jobs, objects, engine, store)


async def serve(services: Services, parts: Sequence[str], *, until: asyncio.Event) -> bool:
    """Runs the parts until `until` is set: True. Or until one of them fails or ends, which ends the others: False."""
    failed = False
    try:
        async with asyncio.TaskGroup() as group:
            works = [(name, work) for part in parts for name, work in _works(part, services)]
            running = [group.create_task(_endless(name, work)) for name, work in works]
            log.info("serve.started", parts=[*parts])
            await until.wait()
            log.info("serve.stops")
            for task in running:
                task.cancel()
    except* Exception:  # noqa: BLE001  # logged where it happened
        failed = True
    return not failed


def _works(part: str, services: Services) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    if part == "gateway":
        yield part, _serve_gateway(services)
    elif part == "relay":
        named = services.bus.named(part)
        relay = import_module("functions.relay")
        yield part, relay.run(bus=named, pachyderm=services.pachyderm, jobs=services.jobs)
        yield (
            f"{part}.sweep",
            relay.keep_sweeping(bus=named, bucket=services.bucket, runs=services.runs, settings=services.settings),
        )
    else:
        for function in _functions(part):
            yield f"{part}.{function.name}", _consume(function, part, services)
        if part == "build" and services.settings.images is not None:
            store = ImageStore(services.settings.images)
            sweep = import_module("functions.build.sweep")
            work = sweep.keep_sweeping(pachyderm=services.pachyderm, store=store, settings=services.settings)
            yield f"{part}.sweep", work


async def _serve_gateway(services: Services) -> None:
    api = import_module("functions.gateway.app").app(
        settings=services.settings,
        bus=services.bus,
        runs=services.runs,
        pachyderm=services.pachyderm,
        bucket=services.bucket,
    )
    await import_module("functions.gateway.server").run(api, services.settings)


async def _endless(part: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except KaosError as error:
        log.error(error.code, part=part, message=error.message)  # noqa: TRY400  # as above
        raise
    except Exception:
        log.exception("part.failed", part=part)
        raise
    log.error("part.ended", part=part)
    raise RuntimeError(part)


async def _consume(function: Function, part: str, services: Services) -> None:
    named = services.bus.named(part)

    async def rejected(event: Event[Any], reason: Reject) -> None:
        for run in runs_of(event):
            # An object may name a run that never was, or have become none: then there is nobody to tell.
            with contextlib.suppress(NotFound):
                await progress.reject(named, services.runs, event.data.workspace, run, reason)

    async def given_up(event: Event[Any], error: Exception) -> None:
        for run in runs_of(event) if function.vital else ():
            with contextlib.suppress(NotFound):
                await progress.give_up(named, services.runs, event.data.workspace, run, error)

    await consume(function, named, dependencies(function, named, services), ends=Ends(rejected, given_up))


def dependencies(function: Function, named: Bus, services: Services) -> dict[str, Any]:
    """What the handler's keyword-only parameters ask for, by name. Raises KeyError for what nobody offers."""
    offered = {
        "bus": named,
        "runs": services.runs,
        "jobs": services.jobs,
        "objects": services.objects,
        "pachyderm": services.pachyderm,
        "bucket": services.bucket,
        "settings": services.settings,
    }
    parameters = inspect.signature(function.handler).parameters.values()
    return {each.name: offered[each.name] for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
