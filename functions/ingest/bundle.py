"""From an object's bytes to the files that a commit will hold: read once to verify them, and again to send them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from functions.ingest.archive import Limits, files_of
from functions.ingest.layout import source_root
from functions.ingest.packed import Packed
from functions.ingest.params import combinations
from shared import grids
from shared.bundles import Entry, bundle_id, tree_hash
from shared.errors import NotFound
from shared.names import InboxKey

Files: TypeAlias = Iterator[tuple[str, Iterator[bytes]]]
"""Path in the commit and content of each file; each content must be read before the next is asked for."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: its name, its tree hash in hex, and its files, which are read anew by each call."""

    name: str
    tree: str
    files: Callable[[], Files]

    @property
    def id(self) -> str:
        """`<name>:<hash7>`."""
        return bundle_id(self.name, self.tree)


def read(key: InboxKey, packed: Packed, limits: Limits) -> Bundle:
    """Reads the whole of it. Raises Reject `bundle.…` or `params.…`, and what reading `packed` raises."""
    if key.kind == "params":
        return _read_params(key, packed)
    seen: list[Entry] = []
    for _, content in files_of(packed, limits, seen):
        for _ in content:
            pass
    root = source_root(seen) if key.kind == "source" else ""
    tree = _tree(seen, root)
    top = bundle_id(key.name, tree)

    def files() -> Files:
        again: list[Entry] = []
        for path, content in files_of(packed, limits, again):
            yield f"/{top}/{path.removeprefix(root)}", content
        # Who can replace the object can make two of the same etag, which is MD5: what is sent is verified too.
        if _tree(again, root) != tree:
            raise NotFound("object.gone", f"The object of bundle {top} was replaced while it was read.")

    return Bundle(key.name, tree, files)


def _tree(entries: list[Entry], root: str) -> str:
    """The tree hash of what is below `root`, which is all there is."""
    return tree_hash(
        Entry(entry.path.removeprefix(root), entry.executable, entry.sha256, entry.size) for entry in entries
    )


def _read_params(key: InboxKey, packed: Packed) -> Bundle:
    """One file for each combination at the root of the commit, so that glob `/*` makes each a datum."""
    with packed.open() as file:
        found = combinations(file.read(grids.BYTES_MAX + 1))
    entries = (Entry(name, False, hashlib.sha256(content).hexdigest(), len(content)) for name, content in found.items())
    return Bundle(key.name, tree_hash(entries), partial(_in_memory, found))


def _in_memory(found: dict[str, bytes]) -> Files:
    for name, content in found.items():
        yield f"/{name}", iter((content,))
