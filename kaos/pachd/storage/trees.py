"""Merkle trees, as git has them: a directory is a sorted list of names and what they hold, named by its hash.

Two commits with an equal directory share it; whether two directories are equal is one comparison. Empty directories
do not exist: a directory is there because a file is below it.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

EMPTY: Final = hashlib.sha256(b"[]").hexdigest()


@dataclass(frozen=True)
class Node:
    """A file (`hash` is its content's) or a directory (its entries'); `size` in bytes, of all below."""

    kind: Literal["file", "dir"]
    hash: str
    size: int


EMPTY_DIRECTORY: Final = Node("dir", EMPTY, 0)


class CollisionError(Exception):
    """Two trees hold the same path."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def parts_of(path: str) -> tuple[str, ...]:
    """`/a//b/` is ('a', 'b')."""
    return tuple(part for part in path.split("/") if part and part != ".")


def read(connection: sqlite3.Connection, tree: str) -> dict[str, Node]:
    """The entries of a directory, sorted by name."""
    if tree == EMPTY:
        return {}
    [entries] = connection.execute("SELECT entries FROM trees WHERE hash = ?", (tree,)).fetchone()
    return {name: Node(kind, digest, size) for name, kind, digest, size in json.loads(entries)}


def write(connection: sqlite3.Connection, entries: dict[str, Node]) -> Node:
    """Stores a directory; returns it as a node."""
    if not entries:
        return EMPTY_DIRECTORY
    rows = [[name, node.kind, node.hash, node.size] for name, node in sorted(entries.items())]
    text = json.dumps(rows, separators=(",", ":"))
    digest, size = hashlib.sha256(text.encode()).hexdigest(), sum(node.size for node in entries.values())
    connection.execute("INSERT OR IGNORE INTO trees VALUES (?, ?, ?)", (digest, text, size))
    return Node("dir", digest, size)


def root_node(connection: sqlite3.Connection, root: str) -> Node:
    """A root as a node, with its size."""
    if root == EMPTY:
        return EMPTY_DIRECTORY
    [size] = connection.execute("SELECT bytes FROM trees WHERE hash = ?", (root,)).fetchone()
    return Node("dir", root, size)


def lookup(connection: sqlite3.Connection, root: str, path: str) -> Node | None:
    """What is at `path`, or None."""
    parts = parts_of(path)
    if not parts:
        return root_node(connection, root)
    node: Node | None = Node("dir", root, 0)
    for part in parts:
        if node is None or node.kind != "dir":
            return None
        node = read(connection, node.hash).get(part)
    return node


def walk(connection: sqlite3.Connection, node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """`path` itself and everything below it, a directory before its content, in the order of the names."""
    yield path or "/", node
    if node.kind == "dir":
        for name, child in read(connection, node.hash).items():
            yield from walk(connection, child, f"{path.rstrip('/')}/{name}")


def files(connection: sqlite3.Connection, root: str) -> Iterator[tuple[str, Node]]:
    """Every file below a root."""
    return ((path, node) for path, node in walk(connection, Node("dir", root, 0), "") if node.kind == "file")


def merge(connection: sqlite3.Connection, roots: list[str]) -> str:
    """One tree of all these. Raises CollisionError where two hold the same file."""
    return _merge(connection, roots, "").hash


def _merge(connection: sqlite3.Connection, all_trees: list[str], path: str) -> Node:
    found: dict[str, list[Node]] = {}
    for tree in all_trees:
        for name, node in read(connection, tree).items():
            found.setdefault(name, []).append(node)
    entries = {}
    for name, nodes in found.items():
        if len(nodes) == 1:
            entries[name] = nodes[0]
        elif all(node.kind == "dir" for node in nodes):
            entries[name] = _merge(connection, [node.hash for node in nodes], f"{path}/{name}")
        else:
            raise CollisionError(f"{path}/{name}")
    return write(connection, entries)


class Draft:
    """A tree while it is changed: a directory is read when it is entered, and written only if it was."""

    def __init__(self, connection: sqlite3.Connection, root: str) -> None:
        self._connection = connection
        self._top = _Directory(connection, root)

    def get(self, path: str) -> Node | None:
        """The file or (as it was before) directory at `path`."""
        parts = parts_of(path)
        folder = self._top.enter(parts[:-1], make=False)
        entry = folder.entries().get(parts[-1]) if folder and parts else None
        if isinstance(entry, _Directory):
            return None if entry.is_empty() else entry.original
        return entry

    def put(self, path: str, node: Node) -> None:
        """Places a file or a whole directory at `path`, over what is there.

        Raises NotADirectoryError where a file is in the way, or would be all there is.
        """
        parts = parts_of(path)
        if not parts and node.kind == "dir":
            self._top = _Directory(self._connection, node.hash)
            return
        folder = self._top.enter(parts[:-1], make=True)
        if folder is None or not parts:
            raise NotADirectoryError(path)
        folder.entries()[parts[-1]] = node

    def delete(self, path: str) -> None:
        """Removes what is at `path`, if anything is."""
        parts = parts_of(path)
        if not parts:
            self._top = _Directory(self._connection, EMPTY)
            return
        folder = self._top.enter(parts[:-1], make=False)
        if folder is not None and parts[-1] in folder.entries():
            del folder.entries()[parts[-1]]

    def save(self) -> str:
        """Writes what changed; returns the root."""
        return self._top.save().hash


class _Directory:
    """A directory of a draft; its entries are nodes, or directories that were entered."""

    def __init__(self, connection: sqlite3.Connection, tree: str) -> None:
        self._connection = connection
        self._tree = tree
        self._entries: dict[str, Node | _Directory] | None = None

    @property
    def original(self) -> Node:
        """The directory before any change."""
        return root_node(self._connection, self._tree)

    def entries(self) -> dict[str, "Node | _Directory"]:
        if self._entries is None:
            self._entries = dict(read(self._connection, self._tree))
        return self._entries

    def is_empty(self) -> bool:
        """Whether no file is below, so that the directory does not exist."""
        return all(isinstance(entry, _Directory) and entry.is_empty() for entry in self.entries().values())

    def enter(self, parts: tuple[str, ...], *, make: bool) -> "_Directory | None":
        """The directory below; None where there is none and none is made (never over a file)."""
        folder = self
        for part in parts:
            entry = folder.entries().get(part)
            if isinstance(entry, _Directory):
                folder = entry
                continue
            if (entry is None and not make) or (entry is not None and entry.kind == "file"):
                return None
            entered = _Directory(self._connection, entry.hash if entry else EMPTY)
            folder.entries()[part] = entered
            folder = entered
        return folder

    def save(self) -> Node:
        if self._entries is None:
            return self.original
        saved: dict[str, Node] = {}
        for name, entry in self._entries.items():
            node = entry.save() if isinstance(entry, _Directory) else entry
            if node.hash != EMPTY or node.kind == "file":
                saved[name] = node
        return write(self._connection, saved)
