"""Woken by a dropped object: verifies it, and makes one commit of it in Pachyderm."""

import hashlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ulid import ULID

from functions.ingest.archive import Limits, unpack
from functions.ingest.commit import commit_bundle
from functions.ingest.layout import source_root
from functions.ingest.params import combinations
from shared.bucket import Bucket
from shared.bundles import Entry, bundle_id, tree_hash
from shared.bus import Bus
from shared.errors import NotFound, Reject
from shared.events import Event, ObjectCreated
from shared.function import function
from shared.names import InboxKey, inbox_key
from shared.pachyderm import Pachyderm
from shared.progress import advance, reject
from shared.runs import FINAL, Part, Run, Runs
from shared.settings import Settings
from shared.workspaces import ensure


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
    key = inbox_key(dropped.key)
    await ensure(pachyderm, bus, key.workspace)
    try:
        run = await _run_of(event, key, runs, bucket)
    except NotFound as gone:
        raise Reject(gone.code, gone.message) from gone
    try:
        await _store(dropped, key, run, pachyderm=pachyderm, runs=runs, bus=bus, bucket=bucket, settings=settings)
    except (Reject, NotFound) as reason:
        # Here and not in the consumer: a bare object's event names no run, the record made for it does. NotFound: the
        # object was replaced or removed; what replaced it has an event of its own.
        await reject(bus, runs, run.workspace, run.id, Reject(reason.code, reason.message))


async def _run_of(event: Event[ObjectCreated], key: InboxKey, runs: Runs, bucket: Bucket) -> Run:
    """The submission that the object's metadata names, else a run of this one part, made here.

    Metadata is the client's word: a run of another workspace, or one that expects no such part, is not believed.
    """
    # Notifications of multipart uploads (JuiceFS), and all of AWS's, carry no metadata: the object itself does.
    metadata = event.data.metadata or await bucket.metadata(event.data.bucket, event.data.key)
    named = metadata.get("kaos-run", "")
    if named:
        try:
            run = await runs.get(key.workspace, named)
        except NotFound:
            run = None
        if run is not None and key.kind in run.expected:
            return run
    run = Run(
        workspace=key.workspace,
        id=_run_id(event),
        created=datetime.now(UTC),
        expected=(key.kind,),
        parts={key.kind: Part(kind=key.kind, name=key.name, key=event.data.key, size=event.data.size)},
    )
    await runs.create(run)
    return await runs.get(run.workspace, run.id)


def _run_id(event: Event[ObjectCreated]) -> str:
    """A ULID of the event's time and identity: a redelivery finds the run that the first delivery made."""
    milliseconds = int(event.time.timestamp() * 1000)
    randomness = hashlib.sha256(event.data.identity().encode()).digest()[:10]
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + randomness)).lower()


async def _store(
    dropped: ObjectCreated,
    key: InboxKey,
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
    await advance(bus, runs, run.workspace, run.id, "ingesting")
    with tempfile.TemporaryDirectory(prefix="kaos-ingest-") as directory:
        packed = Path(directory) / "bundle"
        await bucket.download(dropped.bucket, dropped.key, dropped.etag, packed)
        prepare = partial(_prepare, key, packed, Path(directory), settings)
        name, tree, files = await pachyderm.call(lambda _: prepare())
        commit, known = await pachyderm.call(
            lambda client: commit_bundle(
                client,
                pachyderm,
                workspace=run.workspace,
                kind=key.kind,
                run=run.id,
                bundle=name,
                tree=tree,
                files=files,
            )
        )

    def note(record: Run) -> None:
        record.commit_part(key.kind, commit, name)
        record.parts[key.kind].known = known

    await runs.update(run.workspace, run.id, note)


def _prepare(key: InboxKey, packed: Path, work: Path, settings: Settings) -> tuple[str, str, list[tuple[str, Path]]]:
    """The bundle's id, its tree hash, and where each of its files goes in the commit and lies on this disk."""
    if key.kind == "manifest":
        raise Reject("manifest.unsupported", "This version of kaos can't fetch remote data: deploy it with -d.")
    into = work / "files"
    into.mkdir()
    if key.kind == "params":
        return _prepare_params(key, packed, into)
    entries = unpack(packed, into, Limits(settings.bundle_max_bytes, settings.bundle_max_entries))
    root = source_root(entries) if key.kind == "source" else ""
    inside = [entry for entry in entries if entry.path.startswith(root)]
    tree = tree_hash(
        Entry(entry.path.removeprefix(root), entry.executable, entry.sha256, entry.size) for entry in inside
    )
    name = bundle_id(key.name, tree)
    return name, tree, [(f"/{name}/{entry.path.removeprefix(root)}", into / entry.path) for entry in inside]


def _prepare_params(key: InboxKey, packed: Path, into: Path) -> tuple[str, str, list[tuple[str, Path]]]:
    """One file for each combination at the root of the commit, so that glob `/*` makes each a datum."""
    files = []
    for filename, content in combinations(packed.read_bytes()).items():
        (into / filename).write_bytes(content)
        files.append((f"/{filename}", into / filename))
    tree = tree_hash(_entries(into))
    return bundle_id(key.name, tree), tree, files


def _entries(directory: Path) -> Iterator[Entry]:
    for path in directory.iterdir():
        content = path.read_bytes()
        yield Entry(path.name, False, hashlib.sha256(content).hexdigest(), len(content))
