"""From an object's bytes to the files that a commit will hold. Reads and writes one directory of ours, nothing else."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from functions.ingest.archive import Limits, unpack
from functions.ingest.layout import source_root
from functions.ingest.params import combinations
from shared.bundles import Entry, bundle_id, tree_hash
from shared.names import InboxKey


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its name, its tree hash in hex, and of each file its path in the commit and its place here."""

    name: str
    tree: str
    files: list[tuple[str, Path]]

    @property
    def id(self) -> str:
        """`<name>:<hash7>`."""
        return bundle_id(self.name, self.tree)


def read(key: InboxKey, packed: Path, into: Path, limits: Limits) -> Bundle:
    """Unpacks `packed` into the new directory `into`. Raises Reject `bundle.…` or `params.…`."""
    into.mkdir()
    if key.kind == "params":
        return _read_params(key, packed, into)
    entries = unpack(packed, into, limits)
    root = source_root(entries) if key.kind == "source" else ""
    inside = [entry for entry in entries if entry.path.startswith(root)]
    tree = tree_hash(
        Entry(entry.path.removeprefix(root), entry.executable, entry.sha256, entry.size) for entry in inside
    )
    top = bundle_id(key.name, tree)
    files = [(f"/{top}/{entry.path.removeprefix(root)}", into / entry.path) for entry in inside]
    return Bundle(key.name, tree, files)


def _read_params(key: InboxKey, packed: Path, into: Path) -> Bundle:
    """One file for each combination at the root of the commit, so that glob `/*` makes each a datum."""
    files = []
    for filename, content in combinations(packed.read_bytes()).items():
        (into / filename).write_bytes(content)
        files.append((f"/{filename}", into / filename))
    tree = tree_hash(_entries(into))
    return Bundle(key.name, tree, files)


def _entries(directory: Path) -> Iterator[Entry]:
    for path in directory.iterdir():
        content = path.read_bytes()
        yield Entry(path.name, False, hashlib.sha256(content).hexdigest(), len(content))
