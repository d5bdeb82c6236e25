"""Which run an object belongs to, and which of the events that tell of the object is the one to ingest it."""

from datetime import UTC, datetime

from shared.bucket import Stored
from shared.bus import Bus
from shared.errors import NotFound
from shared.events import Event, ObjectCreated
from shared.names import InboxKey, PartKind, is_run
from shared.objects import Claim, bare_run_id, object_id
from shared.pachyderm import Pachyderm
from shared.runs import Part, Run, Runs
from shared.workspaces import ensure


async def claim_run(
    event: Event[ObjectCreated], key: InboxKey, stored: Stored, *, pachyderm: Pachyderm, runs: Runs, bus: Bus
) -> Run | None:
    """The run that this event is to ingest the object for; None where another event told of the object before.

    That event is in the stream until it is done with, so nothing is lost by leaving the object to it. A bare object's
    run is made here; who wins the claim decides which.
    """
    dropped = event.data
    submitted = await _submission(dropped.key, key, stored.metadata, runs)
    identity = object_id(dropped.bucket, dropped.key, within=key, etag=stored.etag, modified=stored.modified)
    own = submitted.id if submitted else bare_run_id(event)
    claim = await (await bus.objects()).claim(identity, Claim(workspace=key.workspace, run=own, event=event.id))
    if claim.event != event.id:
        return None
    if submitted is not None:
        return submitted
    return await bare_run(claim.run, event, key.kind, key.name, pachyderm=pachyderm, runs=runs, bus=bus)


async def bare_run(
    run: str, event: Event[ObjectCreated], kind: PartKind, name: str, *, pachyderm: Pachyderm, runs: Runs, bus: Bus
) -> Run:
    """The run of this one object; made where it is not there, and before it its workspace."""
    workspace, now = event.data.workspace, datetime.now(UTC)
    await ensure(pachyderm, bus, workspace)
    part = Part(kind=kind, name=name, key=event.data.key, size=event.data.size)
    made = Run(workspace=workspace, id=run, created=now, expected=(kind,), parts={kind: part}, times={"received": now})
    return made if await runs.create(made) else await runs.get(workspace, run)


async def _submission(path: str, key: InboxKey, metadata: dict[str, str], runs: Runs) -> Run | None:
    """The run under which the object lies, else the one that its metadata names; None for a bare object.

    Both are the client's word. A run of another workspace, one that expects no such bundle, or none at this place, is
    not believed.
    """
    run = await _find(runs, key.workspace, key.run)
    if run is not None and key.kind in run.parts and run.parts[key.kind].key == path:
        return run
    run = await _find(runs, key.workspace, metadata.get("kaos-run", ""))
    return run if run is not None and key.kind in run.expected else None


async def _find(runs: Runs, workspace: str, run: str) -> Run | None:
    if not is_run(run):
        return None
    try:
        return await runs.get(workspace, run)
    except NotFound:
        return None
