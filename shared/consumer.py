"""Feeds a function from its durable consumer: fetch, heartbeat, handle, and acknowledge last.

What an exception means is written in shared/errors.py. Attempts are counted here and not by the server (max_deliver
stays -1): a server that gives up does so in silence, whereas a dead letter can be listed, read and replayed.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from pydantic import ValidationError

from shared.bus import Bus
from shared.cancellation import raise_if_cancelled
from shared.errors import Reject, Retry
from shared.events import CommitFinished, Event, JobStarted, ObjectCreated
from shared.function import Function
from shared.names import inbox_key
from shared.objects import bare_run_id

EVENTS_STREAM: Final = "kaos-events"
# ack_wait is 30 s (deploy/nats.toml): two heartbeats may be lost before another process takes the message over.
_HEARTBEAT_SECONDS: Final = 10.0
# A longer pull gains nothing, and some servers lose the reply to very long ones.
_FETCH_SECONDS: Final = 5.0
_REBIND_SECONDS: Final = 1.0
# Most handlers take milliseconds. Those that stay as long as a job (logs.follow) are begun again without harm.
_DRAIN_SECONDS: Final = 3.0
_HANDOVER_SECONDS: Final = 0.2
_ATTEMPTS: Final = 5
# Attempts 1 … 4 are repeated after these many seconds: a restart of Pachyderm (seconds) is survived.
_BACKOFF_SECONDS: Final = (0.5, 2.0, 8.0, 20.0)
# An answer is repeated for as long as a server takes to restart; then ack_wait (30 s) gives the message out anew.
_TELLS: Final = 20
_TELL_SECONDS: Final = 0.5
# A Retry is patience, not failure, but not for ever: at 1 s each this is over an hour. It is counted by this process:
# what another was patient with counts here as attempts, so that what kills every process is given up, too.
_MAX_RETRIES: Final = 5_000

log = structlog.get_logger()


@dataclass(frozen=True)
class Ends:
    """Ends the runs that an event speaks of: its input is refused, or it was given up. Both must be idempotent."""

    rejected: Callable[[Event[Any], Reject], Awaitable[None]]
    given_up: Callable[[Event[Any], Exception], Awaitable[None]]


async def consume(function: Function, bus: Bus, dependencies: Mapping[str, Any], *, ends: Ends) -> None:
    """Runs `function` on its events until cancelled, `function.slots` at a time.

    Cancelled, it fetches no more and lets the running handlers end, up to a bound; the rest is handed over at once.
    """
    free = asyncio.Semaphore(function.slots)
    subscription: JetStreamContext.PullSubscription | None = None
    running: set[asyncio.Task[None]] = set()
    patience: Counter[int] = Counter()
    async with asyncio.TaskGroup() as handlers:
        try:
            while True:
                raise_if_cancelled()
                await free.acquire()
                message: Msg | None = None
                try:
                    subscription = subscription or await bus.stream.pull_subscribe_bind(
                        function.consumer, stream=EVENTS_STREAM
                    )
                    [message] = await subscription.fetch(1, timeout=_FETCH_SECONDS)
                except (NatsTimeoutError, TimeoutError):
                    continue
                except NatsError as error:
                    log.warning("consumer.fetch-failed", function=function.name, error=repr(error))
                    subscription = None
                    await asyncio.sleep(_REBIND_SECONDS)
                    continue
                finally:
                    if message is None:
                        free.release()
                task = handlers.create_task(_handle(function, bus, message, dependencies, ends=ends, patience=patience))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: free.release())
        finally:
            await _wind_up(subscription, running)


async def _wind_up(subscription: JetStreamContext.PullSubscription | None, running: set[asyncio.Task[None]]) -> None:
    if subscription is not None:
        # Or what is handed over would be sent here once more, in answer to the last fetch.
        with contextlib.suppress(NatsError):
            await subscription.unsubscribe()
    if running:
        await asyncio.wait(running, timeout=_DRAIN_SECONDS)


async def _handle(
    function: Function,
    bus: Bus,
    message: Msg,
    dependencies: Mapping[str, Any],
    *,
    ends: Ends,
    patience: Counter[int],
) -> None:
    sequence = message.metadata.sequence.stream
    attempt = message.metadata.num_delivered - patience[sequence]
    event: Event[Any] | None = None
    logger = log.bind(function=function.name, subject=message.subject, attempt=attempt)
    heart = asyncio.create_task(_beat(message))
    try:
        event = Event[function.wakes_on].model_validate_json(message.data)  # type: ignore[name-defined]
        try:
            await function(event, **dependencies)
        except Reject as rejection:
            logger.info("event.rejected", code=rejection.code, message=rejection.message)
            await ends.rejected(event, rejection)
        await _until_heard(message.ack_sync)
        del patience[sequence]
        logger.debug("event.handled")
    except asyncio.CancelledError:
        # This process ends: another takes the message now, and not only when ack_wait is over.
        with contextlib.suppress(NatsError):
            await message.nak(delay=_HANDOVER_SECONDS)
        raise
    except Retry as retry:
        if patience[sequence] >= _MAX_RETRIES:
            await _give_up(bus, message, event, retry, ends)
        else:
            patience[sequence] += 1
            await _until_heard(partial(message.nak, delay=retry.after.total_seconds()))
    except ValidationError as error:
        # Nobody can ever read it: repeating does not help.
        logger.error("event.malformed", error=str(error))  # noqa: TRY400  # the message is the whole story
        await _give_up(bus, message, None, error, ends)
    except Exception as error:
        logger.exception("event.failed")
        if attempt >= _ATTEMPTS:
            await _give_up(bus, message, event, error, ends)
        else:
            delay = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS)) - 1]
            await _until_heard(partial(message.nak, delay=delay))
    finally:
        heart.cancel()


async def _until_heard(tell: Callable[[], Awaitable[object]]) -> None:
    """Answers the server, also one that is just being restarted: what it does not hear, it gives out again."""
    for _ in range(_TELLS):
        try:
            await tell()
        except (NatsError, TimeoutError):
            await asyncio.sleep(_TELL_SECONDS)
        else:
            return


async def _beat(message: Msg) -> None:
    """Tells the server that the handler is still at work."""
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        with contextlib.suppress(NatsError):
            await message.in_progress()


async def _give_up(bus: Bus, message: Msg, event: Event[Any] | None, error: Exception, ends: Ends) -> None:
    """Ends the runs that the event is about, and keeps the message where a person can find it. Last, removes it."""
    metadata = message.metadata
    headers = {
        "Nats-Msg-Id": f"{metadata.consumer}/{metadata.sequence.stream}",
        "Kaos-Subject": message.subject,
        "Kaos-Error": f"{type(error).__name__}: {error}".replace("\n", " ")[:1000],
    }

    async def keep() -> None:
        if event is not None:
            await ends.given_up(event, error)
        await bus.stream.publish(f"kaos-dead.{metadata.consumer}", message.data, headers=headers)
        await message.term()

    await _until_heard(keep)


def runs_of(event: Event[Any]) -> tuple[str, ...]:
    """The runs that an event speaks of, each of which may be there or not."""
    match event.data:
        case ObjectCreated() as dropped:
            named = _run_of_key(dropped.key) or dropped.metadata.get("kaos-run", "")
            # The name may be nobody's: then the object has become a run of its own.
            return (named, bare_run_id(event)) if named else (bare_run_id(event),)
        case CommitFinished() as finished:
            return (finished.run,)
        case JobStarted() as job:
            return job.runs
        case _:
            return ()


def _run_of_key(key: str) -> str:
    """The run under which an object lies; empty where it lies under none."""
    try:
        return inbox_key(key).run
    except Reject:
        return ""
