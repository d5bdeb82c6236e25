"""Woken by a dropped object: verifies it, and makes one commit of it in Pachyderm."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

import grpc
import structlog

from functions.ingest import bundle, manifest
from functions.ingest.archive import Limits
from functions.ingest.bundle import Bundle
from functions.ingest.commit import commit_bundle
from functions.ingest.packed import hold
from functions.ingest.shards import previous_shards
from functions.ingest.submission import bare_run, claim_run
from shared.bucket import Bucket, Stored
from shared.bus import Bus
from shared.errors import Conflict, NotFound, Reject, Retry, Unreachable
from shared.events import Event, ObjectCreated
from shared.function import function
from shared.names import InboxKey, PartKind, inbox_key
from shared.objects import bare_run_id
from shared.pachyderm import Pachyderm, details, is_away
from shared.progress import advance, reject
from shared.runs import FINAL, Run, Runs
from shared.settings import Settings

# A store or a Pachyderm that restarts is no fault of the bundle, and no attempt: five of those are soon used up.
_AWAY: Final = timedelta(seconds=2)

log = structlog.get_logger()


@function(wakes_on=ObjectCreated, consumer="ingest")
async def ingest(
    event: Event[ObjectCreated],
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    bus: Bus,
    bucket: Bucket,
    settings: Settings,
) -> None:
    """Commits the object's bundle, once. What can't be a bundle ends its run `rejected`, with a sentence."""
    dropped = event.data
    try:
        key = inbox_key(dropped.key)
    except Reject as reason:
        await _show(event, reason, pachyderm=pachyderm, runs=runs, bus=bus)
        raise
    try:
        async with bucket.opened(dropped.bucket, dropped.key, etag=dropped.etag, version=dropped.version) as stored:
            run = await claim_run(event, key, stored, pachyderm=pachyderm, runs=runs, bus=bus)
            if run is None:
                log.debug("object.claimed-already", key=dropped.key)
                return
            await _ingest(key, stored, run, pachyderm=pachyderm, runs=runs, bus=bus, bucket=bucket, settings=settings)
    except NotFound as gone:
        await _end_lost(event, key, gone, runs=runs, bus=bus)
    except (Unreachable, Conflict) as away:
        raise Retry(away.message, after=_AWAY) from away
    except (grpc.RpcError, ConnectionError) as error:
        if is_away(error):
            raise Retry(f"Pachyderm does not answer: {details(error)}", after=_AWAY) from error
        raise


async def _ingest(
    key: InboxKey,
    stored: Stored,
    run: Run,
    *,
    pachyderm: Pachyderm,
    runs: Runs,
    bus: Bus,
    bucket: Bucket,
    settings: Settings,
) -> None:
    part = run.parts.get(key.kind)
    if run.state in FINAL or (part is not None and part.commit):
        return  # a redelivery: it is done
    run = await advance(bus, runs, run.workspace, run.id, "ingesting")
    if run.state in FINAL:
        return  # ended meanwhile
    with ExitStack() as held:
        try:
            found = await _read(key, stored, held, pachyderm=pachyderm, bucket=bucket, settings=settings)
            commit = await commit_bundle(run, key.kind, found, pachyderm=pachyderm, runs=runs)
        except Reject as reason:
            # Here and not in the consumer: a bare object's event names no run, the record made for it does.
            await reject(bus, runs, run.workspace, run.id, reason)
            return
    await runs.update(run.workspace, run.id, lambda record: record.commit_part(key.kind, commit, found.id))


async def _read(
    key: InboxKey, stored: Stored, held: ExitStack, *, pachyderm: Pachyderm, bucket: Bucket, settings: Settings
) -> Bundle:
    """What a commit of the object will hold. How a manifest is divided depends on the version before it."""
    if key.kind != "manifest":
        limits = Limits(settings.bundle_max_bytes, settings.bundle_max_entries)
        return await bucket.call(lambda _: bundle.read(key, hold(stored, held), limits))
    # A thread may be writing still when this is told to stop.
    into = Path(held.enter_context(TemporaryDirectory(prefix="kaos-ingest-", ignore_cleanup_errors=True)))
    rules = manifest.rules_of(settings)
    return await pachyderm.call(
        lambda client: manifest.read(
            key.name, hold(stored, held), into, rules, previous_shards(client, key.workspace, key.name)
        )
    )


async def _show(event: Event[ObjectCreated], reason: Reject, *, pachyderm: Pachyderm, runs: Runs, bus: Bus) -> None:
    """Makes a run of an object that lies where bundles do but has no bundle's name, so that somebody sees why not.

    What lies elsewhere is nobody's bundle, and may be many files.
    """
    if reason.code == "bundle.name":
        workspace, kind, *_ = event.data.key.split("/")
        run = await bare_run(
            bare_run_id(event), event, cast("PartKind", kind), "", pachyderm=pachyderm, runs=runs, bus=bus
        )
        await reject(bus, runs, workspace, run.id, reason)


async def _end_lost(event: Event[ObjectCreated], key: InboxKey, gone: NotFound, *, runs: Runs, bus: Bus) -> None:
    """Ends the run that waits for an object which was replaced or removed before it was read.

    A bare object has none unless an earlier attempt made it; what replaced it has an event of its own.
    """
    try:
        run = await runs.get(key.workspace, key.run or event.data.metadata.get("kaos-run") or bare_run_id(event))
    except NotFound:
        log.info("object.gone", key=event.data.key)
        return
    part = run.parts.get(key.kind)
    if part is not None and part.key == event.data.key and not part.commit:
        await reject(bus, runs, run.workspace, run.id, Reject(gone.code, gone.message))
