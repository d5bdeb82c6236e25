"""Trees and files without a server: a database in memory, and a store in a directory."""

import sqlite3
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.trees import EMPTY, Draft, Node

MakeTree = Callable[[dict[str, bytes]], str]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    opened.row_factory = sqlite3.Row
    opened.executescript(files("kaos.pachd").joinpath("schema.sql").read_text())
    yield opened
    opened.close()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "files")


@pytest.fixture
def tree(connection: sqlite3.Connection, blobs: Blobs) -> MakeTree:
    """Makes a tree of these files; its root."""

    def make(content: dict[str, bytes]) -> str:
        draft = Draft(connection, EMPTY)
        for path, each in content.items():
            draft.put(path, Node("file", *blobs.put(each)))
        return draft.save()

    return make
