"""Publishes events on NATS JetStream, and opens the buckets that hold records."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import PubAck
from nats.js.kv import KeyValue

from shared.errors import Unreachable
from shared.events import D, Data, Event, new_event
from shared.jobs import Jobs
from shared.objects import Objects
from shared.runs import Runs
from shared.settings import Settings
from shared.trainings import Trained, Waiting
from shared.trials import Trials

# An acknowledged publish is on disk (sync_interval: always; p50 0.4 ms): 5 s means that the server is in trouble.
_PUBLISH_TIMEOUT = 5.0
# So many events of one in_turn may be under way: the server's fsync is shared by all that wait for it. 128 followers of
# logs (their slots) have 2,048 then, far from where the client makes them wait for each other (4,000).
_UNHEARD_MOST: Final = 16
# Not the client's usual prefix: subscribers, who may read inboxes below that one, must not read our answers.
_INBOX = "_INBOX_KAOS"
# Those whose keys begin with the workspace, and those whose subjects do (deploy/nats.toml).
_BUCKETS_OF_WORKSPACES: Final = (
    *("kaos-runs", "kaos-trials", "kaos-live"),
    *("kaos-jobs", "kaos-trained", "kaos-waiting", "kaos-relay"),
)
_STREAMS_OF_WORKSPACES: Final = ("kaos-events", "kaos-metrics", "kaos-logs")


@dataclass(frozen=True)
class Bus:
    """A connection to NATS; `source` names the function that publishes."""

    client: Client
    stream: JetStreamContext
    source: str
    opened: dict[str, KeyValue] = field(default_factory=dict, repr=False)

    async def publish(self, data: Data) -> None:
        """Tells `data` once: the event's id deduplicates within the stream's window. Durable when this returns."""
        await self.forward(new_event(data, source=self.source))

    async def forward(self, event: Event[D]) -> None:
        """Publishes an event as it is, on its own subject."""
        await self.stream.publish(event.subject, event.to_bytes(), timeout=_PUBLISH_TIMEOUT, headers=_headers(event))

    @asynccontextmanager
    async def in_turn(self) -> AsyncIterator[Callable[[Data], Awaitable[None]]]:
        """Gives a `publish` that tells in the order it is called and does not wait for each to be durable.

        All are when the block ends. Raises nats.errors.Error or TimeoutError, there or earlier, where one is not.
        """
        unheard: deque[asyncio.Future[PubAck]] = deque()

        async def heard(most: int) -> None:
            while len(unheard) > most:
                async with asyncio.timeout(_PUBLISH_TIMEOUT):  # wait_for may lose a cancellation: see cancellation.py
                    await unheard.popleft()

        async def publish(data: Data) -> None:
            event = new_event(data, source=self.source)
            unheard.append(await self.stream.publish_async(event.subject, event.to_bytes(), headers=_headers(event)))
            await heard(_UNHEARD_MOST)

        yield publish
        await heard(0)

    async def key_value(self, name: str) -> KeyValue:
        """A key-value bucket. The server is asked for it once: nats-py would ask each time."""
        if name not in self.opened:
            self.opened[name] = await self.stream.key_value(name)
        return self.opened[name]

    async def runs(self) -> Runs:
        """The run records."""
        return Runs(await self.key_value("kaos-runs"))

    async def trials(self) -> Trials:
        """The trials of runs."""
        return Trials(await self.key_value("kaos-trials"), await self.key_value("kaos-live"))

    async def jobs(self) -> Jobs:
        """The jobs that kaos launched."""
        return Jobs(await self.key_value("kaos-jobs"))

    async def objects(self) -> Objects:
        """The objects of the inbox that have become runs."""
        return Objects(await self.key_value("kaos-objects"))

    async def trained(self) -> Trained:
        """What has been trained before."""
        return Trained(await self.key_value("kaos-trained"))

    async def waiting(self) -> Waiting:
        """The runs that wait for an input."""
        return Waiting(await self.key_value("kaos-waiting"))

    async def forget(self, workspace: str) -> None:
        """Removes the records and the events of a workspace, all but its own entry. Harmless to repeat."""
        for bucket in _BUCKETS_OF_WORKSPACES:
            for keys in (workspace, f"{workspace}.>"):
                await self.stream.purge_stream(f"KV_{bucket}", subject=f"$KV.{bucket}.{keys}")
        for stream in _STREAMS_OF_WORKSPACES:
            await self.stream.purge_stream(stream, subject=f"kaos.{workspace}.>")

    def named(self, source: str) -> "Bus":
        """The same connection for another function."""
        return replace(self, source=source)

    async def close(self) -> None:
        """Flushes and disconnects."""
        if not self.client.is_closed:
            await self.client.drain()


def _headers(event: Event[Any]) -> dict[str, str]:
    return {"Nats-Msg-Id": event.id, "Content-Type": "application/cloudevents+json"}


async def connect(settings: Settings, *, source: str) -> Bus:
    """Connects, and stays connected over restarts of the server. Raises Unreachable `nats.unreachable`."""
    try:
        client = await nats.connect(
            settings.nats_url,
            user=settings.nats_user or None,
            password=settings.nats_password.get_secret_value() or None,
            name=f"kaos-{source}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,
            allow_reconnect=True,
            connect_timeout=5,
            inbox_prefix=_INBOX,
            error_cb=_quiet,
        )
    except (NatsError, OSError, TimeoutError) as error:
        raise Unreachable(
            "nats.unreachable", f"NATS does not answer at {settings.nats_url}: is the stack up (kaos status)?"
        ) from error
    return Bus(client, client.jetstream(), source)


async def _quiet(_: Exception) -> None:
    """The client reconnects by itself; what fails meanwhile raises where it was asked for."""
