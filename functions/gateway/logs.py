"""GET …/logs: what a stage of a run wrote, a line each; collected once it is over, live until then."""

import json
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Annotated, Any, Final

from botocore.exceptions import ClientError
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from functions.gateway import replay
from functions.gateway.blocks import stepped
from functions.gateway.dependencies import RunRecord, Services, Wired
from functions.gateway.events import Follow, ndjson
from shared.events import Stage
from shared.runs import FINAL, Run

_STREAM: Final = "kaos-logs"
# What a caller gets of a LogLine: the run and its workspace they know.
_FIELDS: Final = ("stage", "job", "trial", "seq", "time", "text")
# The lines of a tail are held until the newest is known: 10,000 of 16 KiB are 160 MiB at the very worst.
_MOST_TAIL: Final = 10_000

Tail = Annotated[int | None, Query(ge=0, le=_MOST_TAIL, description="Only the last so many of the lines there are.")]


def router() -> APIRouter:
    """The logs."""
    routes = APIRouter(prefix="/v1/workspaces/{ws}/runs/{run}", tags=["logs"])
    add: Any = routes.add_api_route
    add("/logs", of_run, methods=["GET"], response_class=StreamingResponse, summary="A stage's log")
    return routes


async def of_run(
    run: RunRecord, wired: Wired, stage: Stage = "train", follow: Follow = False, tail: Tail = None
) -> StreamingResponse:
    """The lines of all trials of a stage, in the order they came; with `follow`, until the stage's log is complete.

    `seq` counts from 0 within a trial: where it jumps, lines are missing. None comes twice.
    """
    collected = await wired.bucket.lines(wired.settings.logs_bucket, _key(run, stage))
    if collected is not None:
        return ndjson(stepped(line + b"\n" for line in _last(collected, tail)))
    return ndjson(_live(wired, run, stage, follow=follow, tail=tail))


async def _live(
    wired: Services, run: Run, stage: Stage, *, follow: bool, tail: int | None
) -> AsyncGenerator[bytes, None]:
    """History from the stream, then what comes, then what only the collected log has."""
    stream, subjects = wired.bus.stream, [f"kaos.{run.workspace}.log.{run.id}.{stage}"]
    seen = _Seen()
    async with aclosing(seen.lines(replay.read(stream, _STREAM, subjects, live=False))) as history:
        held: deque[bytes] = deque(maxlen=tail or 0)
        async for line in history:
            if tail is None:
                yield line
            else:
                held.append(line)
    for line in held:
        yield line
    if not follow:
        return
    coming = replay.read(stream, _STREAM, subjects, after=seen.position, live=True)
    complete = replay.when(wired.bus, run.workspace, run.id, lambda: _complete(wired, run, stage))
    async with aclosing(seen.lines(replay.until(coming, complete))) as present:
        async for line in present:
            yield line
    async with aclosing(seen.lines(replay.read(stream, _STREAM, subjects, after=seen.position, live=False))) as rest:
        async for line in rest:
            yield line
    collected = await wired.bucket.lines(wired.settings.logs_bucket, _key(run, stage))
    async for block in stepped(seen.fresh(json.loads(line)) for line in collected or ()):
        yield block


class _Seen:
    """How far the lines have been given: a line that was told again must not be given twice.

    `position` is the sequence of the last message read.
    """

    def __init__(self) -> None:
        self.position = 0
        self._last: dict[tuple[str, str], int] = {}

    async def lines(self, messages: replay.Messages) -> AsyncGenerator[bytes, None]:
        """The fresh lines among `messages`."""
        async with aclosing(messages):
            async for message in messages:
                self.position = message.metadata.sequence.stream
                if line := self.fresh(json.loads(message.data)["data"]):
                    yield line

    def fresh(self, line: dict[str, Any]) -> bytes:
        """The line as a caller gets it; b"" where they have it already."""
        writer, seq = (line["job"], line.get("trial", "")), line["seq"]
        if seq <= self._last.get(writer, -1):
            return b""
        self._last[writer] = seq
        shown = {name: line[name] for name in _FIELDS if name in line}
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


async def _complete(wired: Services, run: Run, stage: Stage) -> bool:
    """Whether no line can come any more: the log is collected, or the run is over without one."""
    key = _key(run, stage)
    try:
        await wired.bucket.call(lambda client: client.head_object(Bucket=wired.settings.logs_bucket, Key=key))
    except ClientError:
        record = await wired.runs.get(run.workspace, run.id)
        job = record.stage(stage)
        # A run that its user has killed is final before its job has ended, whose log is collected then.
        coming = record.state == "killed" and job.job and job.finished is None
        return record.state in FINAL and not coming
    return True


def _last(lines: Iterator[bytes], tail: int | None) -> Iterator[bytes]:
    """The last `tail` lines, or all; read when they are asked for."""
    yield from lines if tail is None else deque(lines, maxlen=tail)


def _key(run: Run, stage: Stage) -> str:
    return f"{run.workspace}/{run.id}/{stage}.ndjson"
