"""Reads a stream in order, without gap or repeat, holding no more than a page of it: first the past, then the present.

This is an ordered consumer that pulls. nats-py's own one is pushed to: it lets the server send up to 32 MiB ahead of
a slow reader, and does not survive a restart of the server when it started from a time.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.bus import Bus
from shared.errors import Unreachable

# At 16 KiB a line at most: 2 MiB for a reader who is far behind.
_PAGE: Final = 128
# How soon a consumer that the server has lost is noticed; each idle reader costs two requests in this time.
_PULL_SECONDS: Final = 2.0
# The server forgets our consumer when we have died: fifteen pulls.
_INACTIVE_SECONDS: Final = 30.0
_RESUME_SECONDS: Final = 0.5
_CANCEL_SECONDS: Final = 0.05
# Notices within this time what was recorded but not told.
_LOOK_AGAIN_SECONDS: Final = 2.0

Messages = AsyncGenerator[Msg, None]


async def read(
    stream: JetStreamContext,
    name: str,
    subjects: list[str],
    *,
    after: int = 0,
    since: datetime | None = None,
    live: bool,
) -> Messages:
    """Messages of stream `name` on `subjects`, from sequence `after` + 1 or from a time; for ever where `live`.

    Survives restarts of the server: it goes on after the last message it gave. Without `live`, raises what NATS raises.
    """
    while True:
        try:
            async with aclosing(_pages(stream, name, subjects, after=after, since=since, live=live)) as pages:
                async for message in pages:
                    after = message.metadata.sequence.stream
                    yield message
        except _Gap:
            continue
        except (NatsError, TimeoutError):
            if not live:
                raise
            await asyncio.sleep(_RESUME_SECONDS)
        else:
            return


async def until(messages: Messages, end: Awaitable[Any]) -> Messages:
    """Gives `messages` until `end` is done; what the reader has not seen by then is still in the stream."""
    ended = asyncio.ensure_future(end)
    coming: asyncio.Task[Msg] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(following(messages))
            await asyncio.wait({coming, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                ended.result()
                return
            message, coming = coming.result(), None
            yield message
    finally:
        await to_its_end(_stop(messages, ended, coming))


async def when(bus: Bus, workspace: str, run: str, condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns when `condition` holds; looks each time the run's state changes, and every two seconds.

    A condition that cannot be looked at because a server is away does not hold yet.
    """
    told = await bus.client.subscribe(f"kaos.{workspace}.run.{run}.*")
    try:
        while True:
            with contextlib.suppress(NatsError, TimeoutError, Unreachable):
                if await condition():
                    return
            with contextlib.suppress(NatsTimeoutError, TimeoutError):
                await told.next_msg(timeout=_LOOK_AGAIN_SECONDS)
    finally:
        with contextlib.suppress(NatsError):
            await told.unsubscribe()


class _Gap(Exception):
    """The server's deliveries were not consecutive: begin again after the last one that was."""


async def following(messages: Messages) -> Msg:
    """The next of them, as a coroutine that can be a task."""
    return await anext(messages)


async def _pages(
    stream: JetStreamContext, name: str, subjects: list[str], *, after: int, since: datetime | None, live: bool
) -> Messages:
    consumer = await stream.add_consumer(name, config=_config(subjects, after, since))
    subscription = await stream.pull_subscribe_bind(consumer=consumer.name, stream=name)
    pending, delivered = consumer.num_pending or 0, 0
    try:
        while pending or live:
            # Known to be there, a page comes at once; otherwise the first new message does.
            try:
                messages = await subscription.fetch(min(pending, _PAGE) or 1, timeout=_PULL_SECONDS)
            except (NatsTimeoutError, TimeoutError):
                pending = (await stream.consumer_info(name, consumer.name)).num_pending or 0
                continue
            for message in messages:
                delivered += 1
                if message.metadata.sequence.consumer != delivered:
                    raise _Gap
                yield message
                pending = message.metadata.num_pending
    finally:
        await to_its_end(_forget(stream, name, consumer.name, subscription))


async def _forget(
    stream: JetStreamContext, name: str, consumer: str, subscription: JetStreamContext.PullSubscription
) -> None:
    with contextlib.suppress(NatsError, TimeoutError):
        await subscription.unsubscribe()
        await stream.delete_consumer(name, consumer)


async def _stop(messages: Messages, *tasks: asyncio.Future[Any] | None) -> None:
    running = {task for task in tasks if task is not None}
    while running:
        # More than once: wait_for swallows a cancellation that comes at the moment of its result (Python 3.11).
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_SECONDS)
        running = {task for task in running if not task.done()}
    await asyncio.gather(*filter(None, tasks), return_exceptions=True)
    await messages.aclose()


async def to_its_end(cleanup: Coroutine[Any, Any, None]) -> None:
    """Cleans up even where a caller has left, which cancels us again at every await."""
    await asyncio.shield(asyncio.create_task(cleanup))


def _config(subjects: list[str], after: int, since: datetime | None) -> ConsumerConfig:
    config = ConsumerConfig(
        filter_subjects=subjects,
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.ALL,
        inactive_threshold=_INACTIVE_SECONDS,
        mem_storage=True,
        num_replicas=1,
    )
    if after:
        return config.evolve(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
    if since is not None:
        return config.evolve(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=since)
    return config
