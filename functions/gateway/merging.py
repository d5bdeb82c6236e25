"""Reads several streams of NATS as one: what is past in the order of time, then what comes as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from nats.aio.msg import Msg
from nats.js import JetStreamContext

from functions.gateway import replay
from functions.gateway.replay import Messages


@dataclass
class Position:
    """How far each stream has been read, by its name: the sequence of the last message."""

    sequences: dict[str, int] = field(default_factory=dict)

    def move(self, message: Msg) -> None:
        """Notes that the message was given."""
        self.sequences[message.metadata.stream] = message.metadata.sequence.stream

    def of(self, stream: str) -> int:
        """Where to go on in a stream: 0 where nothing was read of it."""
        return self.sequences.get(stream, 0)


async def read(
    stream: JetStreamContext,
    subjects: Mapping[str, list[str]],
    position: Position,
    *,
    since: datetime | None = None,
    live: bool,
) -> Messages:
    """Messages of the streams named, each on its `subjects`, after `position`, which moves with what is given.

    As replay.read: without gap or repeat in each stream; for ever where `live`.
    """
    past = [
        replay.read(stream, name, found, after=position.of(name), since=since, live=False)
        for name, found in subjects.items()
    ]
    async with aclosing(_in_order(past)) as messages:
        async for message in messages:
            position.move(message)
            yield message
    if not live:
        return
    coming = [
        replay.read(stream, name, found, after=position.of(name), since=since, live=True)
        for name, found in subjects.items()
    ]
    async with aclosing(_as_they_come(coming)) as messages:
        async for message in messages:
            position.move(message)
            yield message


async def _in_order(sources: list[Messages]) -> AsyncGenerator[Msg, None]:
    """All messages of sources that end, the oldest first."""
    try:
        heads = [(message, source) for source in sources if (message := await anext(source, None)) is not None]
        while heads:
            oldest = min(heads, key=lambda head: head[0].metadata.timestamp)
            heads.remove(oldest)
            message, source = oldest
            yield message
            following = await anext(source, None)
            if following is not None:
                heads.append((following, source))
    finally:
        for source in sources:
            await source.aclose()


async def _as_they_come(sources: list[Messages]) -> AsyncGenerator[Msg, None]:
    """The messages of sources that don't end."""
    waiting = {asyncio.create_task(replay.following(source)): source for source in sources}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: task.result().metadata.timestamp):
                source = waiting.pop(task)
                message = task.result()
                waiting[asyncio.create_task(replay.following(source))] = source
                yield message
    finally:
        await replay.to_its_end(_stop(waiting))


async def _stop(waiting: Mapping["asyncio.Task[Msg]", Messages]) -> None:
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for source in waiting.values():
        await source.aclose()
