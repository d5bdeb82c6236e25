"""GET …/events: what happened to a run or in a workspace, as CloudEvents, a line each."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from functions.gateway import merging, replay
from functions.gateway.dependencies import RunRecord, Services, Wired, WorkspaceName
from functions.gateway.merging import Position
from functions.gateway.workspaces import existing
from shared.consumer import EVENTS_STREAM
from shared.events import RunChanged
from shared.runs import FINAL, Run

_METRICS_STREAM: Final = "kaos-metrics"
EventType = Literal[
    "kaos.object.created",
    "kaos.commit.finished",
    "kaos.job.started",
    "kaos.job.finished",
    "kaos.run.changed",
    "kaos.metrics.reported",
]
# Where each type is found: the stream, and the subject below that of the workspace.
_PLACES: Final[dict[EventType, tuple[str, str]]] = {
    "kaos.object.created": (EVENTS_STREAM, "object.created"),
    "kaos.commit.finished": (EVENTS_STREAM, "commit.*.finished"),
    "kaos.job.started": (EVENTS_STREAM, "job.*.started"),
    "kaos.job.finished": (EVENTS_STREAM, "job.*.finished"),
    "kaos.run.changed": (EVENTS_STREAM, "run.{run}.*"),
    "kaos.metrics.reported": (_METRICS_STREAM, "metrics.{run}.*"),
}
NDJSON: Final = "application/x-ndjson"
# All events that name a run are told after its record was made; clocks may differ.
_CLOCK_SKEW: Final = timedelta(minutes=10)
# A run's last event is told after its record is final, by one acknowledged publish.
_LAST_EVENT_SECONDS: Final = 2.0

Follow = Annotated[bool, Query(description="Go on with what happens from now on.")]
Types = Annotated[list[EventType] | None, Query(alias="type", description="Only events of this type, or of several.")]
Since = Annotated[AwareDatetime | None, Query(description="Only events told since then (ISO 8601), without `after`.")]
# Its place among the events, and behind a hyphen the one among those of metrics, which are a stream of their own.
After = Annotated[str, Query(pattern="^[0-9]{1,18}(-[0-9]{1,18})?$", description="Go on after this `sequence`.")]


def router() -> APIRouter:
    """The event streams."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}", tags=["events"])
    add = routes.add_api_route
    add("/events", of_workspace, methods=["GET"], response_class=StreamingResponse, summary="A workspace's events")
    add("/runs/{run}/events", of_run, methods=["GET"], response_class=StreamingResponse, summary="A run's events")
    return routes


async def of_workspace(
    ws: WorkspaceName,
    wired: Wired,
    *,
    follow: Follow = False,
    after: After = "0",
    types: Types = None,
    since: Since = None,
) -> StreamingResponse:
    """All events of the workspace that are kept (14 days), oldest first; with `follow`, until the caller leaves.

    Each has the CloudEvents extension `sequence`: passed as `after`, it resumes without gap or repeat.
    """
    await existing(wired, ws)
    subjects, position = _subjects(ws, "*", types), _position(after)
    return ndjson(_lines(merging.read(wired.bus.stream, subjects, position, since=since, live=follow), position))


async def of_run(
    run: RunRecord, wired: Wired, *, follow: Follow = False, after: After = "0", types: Types = None
) -> StreamingResponse:
    """The events that name the run, oldest first; with `follow`, until the run is final."""
    return ndjson(_of_run(wired, run, _subjects(run.workspace, run.id, types), after=after, follow=follow))


def ndjson(lines: AsyncIterator[bytes]) -> StreamingResponse:
    """A response of one JSON text a line, which no proxy holds back."""
    return StreamingResponse(lines, media_type=NDJSON, headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})


def _subjects(workspace: str, run: str, types: list[EventType] | None) -> dict[str, list[str]]:
    """The subjects of those types, or of all, by stream; `run` is an id or `*`."""
    found: dict[str, list[str]] = {}
    for name in types or get_args(EventType):
        stream, subject = _PLACES[name]
        found.setdefault(stream, []).append(f"kaos.{workspace}.{subject.format(run=run)}")
    return found


async def _of_run(
    wired: Services, run: Run, subjects: dict[str, list[str]], *, after: str, follow: bool
) -> AsyncGenerator[bytes, None]:
    position = _position(after)
    metrics = {stream: found for stream, found in subjects.items() if stream == _METRICS_STREAM}
    since = run.created - _CLOCK_SKEW
    messages = merging.read(wired.bus.stream, subjects, position, since=since, live=follow)
    if follow:
        messages = replay.until(messages, _told_all(wired, run))
    async with aclosing(messages):
        async for message in messages:
            event = json.loads(message.data)
            if not _names(event["data"], run.id):
                continue
            is_last = follow and event["type"] == RunChanged.type and event["data"]["state"] in FINAL
            if is_last:
                # They were told before, but come by another stream.
                rest = merging.read(wired.bus.stream, metrics, position, since=since, live=False)
                async for line in _lines(rest, position):
                    yield line
            yield _line(event, position)
            if is_last:
                return


def _position(sequence: str) -> Position:
    events, _, metrics = sequence.partition("-")
    return Position({EVENTS_STREAM: int(events), _METRICS_STREAM: int(metrics or 0)})


async def _told_all(wired: Services, run: Run) -> None:
    """Returns when no event can be under way any more: the last one ends the stream sooner."""

    async def is_final() -> bool:
        return (await wired.runs.get(run.workspace, run.id)).state in FINAL

    await replay.when(wired.bus, run.workspace, run.id, is_final)
    await asyncio.sleep(_LAST_EVENT_SECONDS)


async def _lines(messages: replay.Messages, position: Position) -> AsyncGenerator[bytes, None]:
    async with aclosing(messages):
        async for message in messages:
            yield _line(json.loads(message.data), position)


def _line(event: dict[str, Any], position: Position) -> bytes:
    metrics = position.of(_METRICS_STREAM)
    sequence = f"{position.of(EVENTS_STREAM)}{f'-{metrics}' if metrics else ''}"
    return json.dumps({**event, "sequence": sequence}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _names(data: dict[str, Any], run: str) -> bool:
    """Whether an event tells of `run`: by itself, as one of a job's runs, or in an object's key or metadata."""
    return (
        run in (data.get("run"), data.get("metadata", {}).get("kaos-run"))
        or run in data.get("runs", ())
        or f"/{run}/" in data.get("key", "")
    )
