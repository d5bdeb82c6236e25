"""Makes up for what was never told: objects whose notification got lost, and uploads that never came."""

import asyncio
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
_INCOMPLETE_SECONDS: Final = 3600.0
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
        self._claimed: set[str] = set()

    async def tell_missed(self) -> int:
        """Publishes an ObjectCreated for each object that no event has claimed; returns how many. One page at a time.

        Told again before its event is handled, an object is still one event: its id is the same each time.
        """
        if not self._claimed:
            self._claimed = {identity async for identity in self._objects.claimed()}
        until, told = await _handled_until(self._bus), 0
        async for page in self._pages():
            now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])  # the store's own clock
            missed = await asyncio.gather(
                *(
                    self._unclaimed(stored)
                    for stored in page.get("Contents", ())
                    if stored["LastModified"] < min(now, until) - _ON_ITS_WAY
                )
            )
            for data, modified in filter(None, missed):
                await self._bus.forward(new_event(data, source=self._bus.source, time=modified))
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

    async def _unclaimed(self, stored: "ObjectTypeDef") -> tuple[ObjectCreated, datetime] | None:
        """What to tell of a listed object, and its time; None where it is claimed, or can be no bundle."""
        path, etag, modified = stored["Key"], stored["ETag"].strip('"'), stored["LastModified"]
        try:
            key = inbox_key(path)
        except Reject:
            return None
        identity = object_id(self._name, path, within=key, etag=etag, modified=modified)
        if identity in self._claimed:
            return None
        if await self._objects.is_claimed(identity):
            self._claimed.add(identity)
            return None
        # As MinIO has it: the time in nanoseconds. Dropped again, the same content is another object.
        sequencer = f"{int(modified.timestamp() * 1e9):016X}"
        data = ObjectCreated(
            workspace=key.workspace,
            bucket=self._name,
            key=path,
            size=stored["Size"],
            etag=etag,
            sequencer=sequencer,
        )
        return data, modified


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
        try:
            await work()
        except (KaosError, ClientError, NatsError, TimeoutError) as error:
            log.warning("sweep.failed", error=str(error))
        await asyncio.sleep(seconds)
