"""Reads the bundles of a submission, announces the run, and uploads them."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from kaos.cli import pack, upload
from kaos.cli.bundle import Bundle
from kaos.cli.client import Client
from kaos.cli.content import Content, FileContent
from kaos.cli.tar import Member, Tar
from kaos.cli.wire import PartKind, Run
from shared import grids, manifests
from shared.bundles import Entry, bundle_id, tree_hash
from shared.grids import Listed

# Ingest refuses what unpacks to more than 200 times its size, which is how a bomb looks. Honest data that is mostly
# zeros looks the same, and travels as it is.
_MOST_RATIO: Final = 100


@dataclass(frozen=True)
class Remote:
    """What a manifest names: how many files, the bytes of those whose size it says, and how many others there are."""

    files: int
    size: int
    unsized: int


@dataclass(frozen=True)
class Part:
    """A bundle as it will be sent: as which file, its bytes, and the hash that ingest will find.

    `trials`: the digests of combinations; `remote`: what a manifest would have fetched.
    """

    kind: PartKind
    name: str
    filename: str
    content: Content
    tree: str
    trials: tuple[str, ...] = ()
    remote: Remote | None = None

    @property
    def identity(self) -> str:
        """The bundle's id."""
        return bundle_id(self.name, self.tree)


def prepare(bundle: Bundle, folder: Path) -> Part:
    """Makes ready what will be uploaded; `folder` is for what has to be written.

    Raises Reject `bundle.…`, `manifest.…` or `params.…`, and KaosError `bundle.changed`.
    """
    if bundle.kind == "manifest":
        return _manifest(bundle, folder)
    return _params(bundle, folder) if bundle.space is not None else _directory(bundle, folder)


def submit(gateway: Client, workspace: str, parts: list[Part], more: Mapping[str, object]) -> Run:
    """Announces the run and uploads its parts; `more` are the submission's other fields."""
    wanted = [{"kind": part.kind, "filename": part.filename, "size": part.content.size} for part in parts]
    submitted = gateway.submit(workspace, {"parts": wanted, **more})
    run, contents = submitted["run"], {part.kind: part.content for part in parts}
    for target in submitted["uploads"]:
        content = contents[target["kind"]]
        with _bar(f"Uploading {target['kind']} bundle", content.size) as advance:
            etags = upload.put(target, content, advance)
        if target["multipart"] is not None:
            gateway.complete(run, target["key"], target["multipart"]["upload_id"], etags)
    return run


def _directory(bundle: Bundle, folder: Path) -> Part:
    """An archive: compressed in `folder`, or where that gains nothing, put together as it is sent."""
    found = pack.files(bundle.path)
    total = sum(path.stat().st_size for _, path in found)
    if pack.gets_smaller(found):
        path = folder / f"{bundle.kind}.tar.zst"
        with _bar(f"Compressing {bundle.kind} bundle", total) as advance:
            members = pack.compress(found, path, advance)
        if total <= _MOST_RATIO * path.stat().st_size:
            return _archive(bundle, "tar.zst", FileContent(path), members)
    else:
        with _bar(f"Reading {bundle.kind} bundle", total) as advance:
            members = pack.look(found, advance)
    return _archive(bundle, "tar", Tar(members), members)


def _archive(bundle: Bundle, suffix: str, content: Content, members: list[Member]) -> Part:
    tree = tree_hash(member.entry for member in members)
    return Part(bundle.kind, bundle.name, f"{bundle.name}.{suffix}", content, tree)


def _manifest(bundle: Bundle, folder: Path) -> Part:
    """The manifest as it is, once each of its lines has been read: what is wrong is told before anything is sent."""
    digests, size, unsized = [], 0, 0
    for _, line in manifests.read(bundle.path):
        digests.append(manifests.digest_of(line.canonical()))
        size += line.size or 0
        unsized += line.size is None
    path = folder / f"{bundle.name}.mf"
    shutil.copyfile(bundle.path, path)
    remote = Remote(len(digests), size, unsized)
    return Part(bundle.kind, bundle.name, path.name, FileContent(path), manifests.tree_of(digests), remote=remote)


def _params(bundle: Bundle, folder: Path) -> Part:
    """A grid as the user wrote it; chosen combinations as a list of them."""
    space = bundle.space
    assert space is not None
    path = folder / f"{bundle.name}.json"
    path.write_bytes(grids.canonical([*space.combinations]) if isinstance(space, Listed) else bundle.path.read_bytes())
    found = grids.expand(space)
    digests = {name: grids.digest_of(content) for name, content in found.items()}
    tree = tree_hash(Entry(name, False, digests[name], len(content)) for name, content in found.items())
    return Part(bundle.kind, bundle.name, path.name, FileContent(path), tree, tuple(digests.values()))


@contextmanager
def _bar(label: str, total: int) -> Iterator[upload.Advance]:
    """A progress bar, on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total, label=f"{label:<26}", file=sys.stderr) as bar:
        yield bar.update
