"""Applies nats.toml to a server: `python -m deploy.apply`, or the embedded stack at its start. Safe to repeat."""

import asyncio
import tomllib
from importlib.resources import files
from typing import Any

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, KeyValueConfig, StreamConfig
from nats.js.errors import NotFoundError

from shared.bus import connect
from shared.settings import Settings

# What every consumer has in common; why, is in the settings table of the reliability notes in ARCHITECTURE.md.
_ACK_WAIT_SECONDS = 30.0
_COUNTED_IN_CODE = -1


async def apply(stream: JetStreamContext, *, replicas: int = 1) -> None:
    """Creates or updates every stream, consumer and bucket of nats.toml; removes nothing."""
    declared = tomllib.loads(files("deploy").joinpath("nats.toml").read_text())
    for entry in declared["stream"]:
        await _apply_stream(stream, entry, replicas)
    for entry in declared["consumer"]:
        await stream.add_consumer(
            "kaos-events",
            ConsumerConfig(
                durable_name=entry["name"],
                filter_subjects=entry["filter_subjects"],
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=_ACK_WAIT_SECONDS,
                max_deliver=_COUNTED_IN_CODE,
                max_ack_pending=entry["max_ack_pending"],
            ),
        )
    for entry in declared["bucket"]:
        try:
            await stream.key_value(entry["name"])
        except NotFoundError:
            await stream.create_key_value(
                KeyValueConfig(
                    bucket=entry["name"],
                    history=entry["history"],
                    ttl=entry.get("max_age"),
                    replicas=replicas,
                    # Half the cost of a read. Of several replicas any may answer, also one that lags behind, and a
                    # compare-and-set begins with a read: then the leader must.
                    direct=replicas == 1,
                )
            )


async def _apply_stream(stream: JetStreamContext, entry: dict[str, Any], replicas: int) -> None:
    config = StreamConfig(
        name=entry["name"],
        subjects=entry["subjects"],
        max_age=float(entry["max_age"]),
        max_bytes=entry["max_bytes"],
        discard=DiscardPolicy(entry.get("discard", "new")),
        duplicate_window=float(entry["duplicate_window"]),
        num_replicas=replicas,
        allow_direct=True,
    )
    try:
        await stream.stream_info(entry["name"])
    except NotFoundError:
        await stream.add_stream(config)
    else:
        await stream.update_stream(config)


async def _main() -> None:
    bus = await connect(Settings(), source="deploy")
    try:
        await apply(bus.stream)
    finally:
        await bus.close()


if __name__ == "__main__":
    asyncio.run(_main())
