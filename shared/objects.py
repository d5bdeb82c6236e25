"""Which run each object of the inbox has become, in a NATS key-value bucket.

A store may tell of an object twice, in different words, and the sweep may tell of it once more. The first event to
claim the object here is the one that ingests it; for the others there is nothing left to do.
"""

import hashlib
from collections.abc import AsyncGenerator
from datetime import datetime

from nats.js.errors import KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue
from pydantic import BaseModel, ConfigDict
from ulid import ULID

from shared.entries import entries
from shared.events import Event, ObjectCreated
from shared.names import InboxKey

# 128 bits: no two objects of one inbox meet.
_ID_DIGITS = 32


class Claim(BaseModel):
    """The run that an object becomes, and the id of the event that ingests it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    workspace: str
    run: str
    event: str


class Objects:
    """The claims on all objects, in KV bucket `kaos-objects` under `object_id`. A claim never changes."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def claim(self, identity: str, claim: Claim) -> Claim:
        """Claims the object unless somebody has; returns the claim that holds."""
        try:
            await self._bucket.create(identity, claim.model_dump_json().encode())
        except KeyWrongLastSequenceError:
            entry = await self._bucket.get(identity)
            return Claim.model_validate_json(entry.value or b"")
        return claim

    async def is_claimed(self, identity: str) -> bool:
        """Whether an event has claimed the object."""
        try:
            await self._bucket.get(identity)
        except (KeyNotFoundError, KeyDeletedError):
            return False
        return True

    async def forget(self, workspace: str) -> None:
        """Removes the claims on objects of a workspace, which must be gone: else they would be claimed anew."""
        async for key, value in entries(self._bucket):
            if Claim.model_validate_json(value).workspace == workspace:
                await self._bucket.purge(key)

    async def claimed(self) -> AsyncGenerator[str, None]:
        """The ids of all objects claimed by now, in one pass over the bucket's keys."""
        async for key, _ in entries(self._bucket, keys_only=True):
            yield key


def object_id(bucket: str, key: str, *, within: InboxKey, etag: str, modified: datetime) -> str:
    """What makes two tellings of an object the same object; `within` is its key as read.

    Under a run the key alone: it is used once, and a client that repeats its upload means the same bundle. Elsewhere
    also content and time: who drops the same again wants another run. Seconds, since that is all that GET tells.
    """
    parts = [bucket, key] if within.run else [bucket, key, etag, str(int(modified.timestamp()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_ID_DIGITS]


def bare_run_id(event: Event[ObjectCreated]) -> str:
    """The run that an object becomes which belongs to none: a redelivery finds what the first delivery has made.

    A ULID of the event's time and identity.
    """
    milliseconds = int(event.time.timestamp() * 1000)
    randomness = hashlib.sha256(event.data.identity().encode()).digest()[:10]
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + randomness)).lower()
