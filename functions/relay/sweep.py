"""Makes up for what was never told: objects whose notification got lost, and uploads that never came."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import structlog
from botocore.exceptions import ClientError
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from shared.bucket import Bucket
from shared.bus import Bus
from shared.cancellation import raise_if_cancelled
from shared.consumer import EVENTS_STREAM
from shared.errors import KaosError, Reject
from shared.events import ObjectCreated, new_event
from shared.names import inbox_key
from shared.objects import Objects, object_id
from shared.progress import reject
from shared.runs import FINAL, Run, Runs
from shared.settings import Settings
from shared.workspaces import every

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, ObjectTypeDef

# At start the store and the functions are coming up; what was dropped while they were away is found soon after.
_FIRST_SECONDS: Final = 5.0
# A notification takes milliseconds, one that the store repeats from its queue 3 s.
_ON_ITS_WAY: Final = timedelta(seconds=5)
# The most that S3 gives at once, and the most that this holds.
_PAGE: Final = 1000
# A large inbox takes a while to list (10,000 objects: 3 s): at most one twentieth of the time goes into that.
_REST: Final = 20
_INCOMPLETE_SECONDS: Final = 3600.0
_NOTHING: Final = ""
_NONE: Final = datetime(1970, 1, 2, tzinfo=UTC)
_ALL: Final = datetime.max.replace(tzinfo=UTC)
# Signed upload addresses are good for 16 hours; the rest is for ingesting what came last.
INCOMPLETE_AFTER: Final = timedelta(hours=24)

log = structlog.get_logger()


async def keep_sweeping(*, bus: Bus, bucket: Bucket, runs: Runs, settings: Settings) -> None:
    """Looks at the inbox every `settings.sweep_seconds`, and at old runs every hour, until cancelled."""
    swept = Inbox(bus, bucket, await bus.objects(), settings.inbox_bucket)
    async with asyncio.TaskGroup() as loops:
        first = min(_FIRST_SECONDS, settings.sweep_seconds)
        loops.create_task(_repeat(swept.tell_missed, first=first, seconds=settings.sweep_seconds))
        loops.create_task(
            _repeat(lambda: end_incomplete(bus, runs), first=_INCOMPLETE_SECONDS, seconds=_INCOMPLETE_SECONDS)
        )


class Inbox:
    """The inbox, and which of its objects are known to be claimed: that never changes, so each is asked for once."""

    def __init__(self, bus: Bus, bucket: Bucket, objects: Objects, name: str) -> None:
        self._bus, self._bucket, self._objects, self._name = bus, bucket, objects, name
        self._claimed = {_NOTHING}

    async def tell_missed(self) -> int:
        """Publishes an ObjectCreated for each object that no event has claimed; returns how many. One page at a time.

        Told again before its event is handled, an object is still one event: its id is the same each time.
        """
        if self._claimed == {_NOTHING}:
            self._claimed |= {identity async for identity in self._objects.claimed()}
        until, told = await _handled_until(self._bus), 0
        async for page in self._pages():
            now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])  # the store's own clock
            before = min(now, until) - _ON_ITS_WAY
            unknown = [
                stored
                for stored in page.get("Contents", ())
                if stored["LastModified"] < before and self._identity(stored) not in self._claimed
            ]
            for stored in filter(None, await asyncio.gather(*map(self._if_unclaimed, unknown))):
                await self._tell(stored)
                told += 1
        if told:
            log.info("sweep.told", objects=told)
        return told

    async def _pages(self) -> AsyncIterator["ListObjectsV2OutputTypeDef"]:
        token: dict[str, str] = {}

        def work(client: "S3Client") -> "ListObjectsV2OutputTypeDef":
            return client.list_objects_v2(Bucket=self._name, MaxKeys=_PAGE, **token)  # type: ignore[arg-type]  # the stub wants a TypedDict

        while True:
            page = await self._bucket.call(work)
            yield page
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _identity(self, stored: "ObjectTypeDef") -> str:
        """The object's id; of what can be no bundle, that of nothing, which counts as claimed."""
        try:
            within = inbox_key(stored["Key"])
        except Reject:
            return _NOTHING
        etag = stored["ETag"].strip('"')
        return object_id(self._name, stored["Key"], within=within, etag=etag, modified=stored["LastModified"])

    async def _if_unclaimed(self, stored: "ObjectTypeDef") -> "ObjectTypeDef | None":
        identity = self._identity(stored)
        if not await self._objects.is_claimed(identity):
            return stored
        self._claimed.add(identity)
        return None

    async def _tell(self, stored: "ObjectTypeDef") -> None:
        modified = stored["LastModified"]
        data = ObjectCreated(
            workspace=inbox_key(stored["Key"]).workspace,
            bucket=self._name,
            key=stored["Key"],
            size=stored["Size"],
            etag=stored["ETag"].strip('"'),
            # As MinIO has it: the time in nanoseconds. Dropped again, the same content is another object.
            sequencer=f"{int(modified.timestamp() * 1e9):016X}",
        )
        await self._bus.forward(new_event(data, source=self._bus.source, time=modified))


async def end_incomplete(bus: Bus, runs: Runs) -> int:
    """Rejects each run that has waited too long for a bundle, with code `run.incomplete`; returns how many."""
    ended, before = 0, datetime.now(UTC) - INCOMPLETE_AFTER
    for workspace in await every(bus):
        for run in await runs.list(workspace.name):
            if run.state not in FINAL and not run.complete() and run.created < before:
                await reject(bus, runs, run.workspace, run.id, _incomplete(run))
                ended += 1
    return ended


def _incomplete(run: Run) -> Reject:
    missing = [kind for kind in run.expected if not (kind in run.parts and run.parts[kind].commit)]
    hours = INCOMPLETE_AFTER // timedelta(hours=1)
    return Reject(
        "run.incomplete", f"After {hours} hours the run still lacks {' and '.join(missing)}: deploy it again."
    )


async def _handled_until(bus: Bus) -> datetime:
    """The events of objects dropped before this have been given to ingest; those of later ones may be in its queue."""
    info = await bus.stream.consumer_info(EVENTS_STREAM, "ingest")
    if not info.num_pending:
        return _ALL
    if info.delivered is None or not info.delivered.stream_seq:
        return _NONE
    try:
        last = await bus.stream.get_msg(EVENTS_STREAM, info.delivered.stream_seq)
    except NotFoundError:  # older than what the stream keeps: ingest has been away that long
        return _NONE
    return last.time or _NONE


async def _repeat(work: Callable[[], Awaitable[int]], *, first: float, seconds: float) -> None:
    """Works for ever; a server that is away is no reason to end, but one to look again."""
    await asyncio.sleep(first)
    while True:
        began = time.monotonic()
        try:
            await work()
        except (KaosError, ClientError, NatsError, TimeoutError) as error:
            log.warning("sweep.failed", error=str(error))
        raise_if_cancelled()
        await asyncio.sleep(max(seconds, _REST * (time.monotonic() - began)))
