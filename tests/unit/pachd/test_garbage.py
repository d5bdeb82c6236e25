"""What nothing holds is removed once it is old; what somebody holds, or asks for meanwhile, is kept."""

import os
import sqlite3
import time
from importlib.resources import files
from pathlib import Path

import pytest

from kaos.pachd.garbage import collect
from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.checkouts import Checkouts
from tests.unit.pachd.conftest import MakeTree

FUTURE = time.time() + 1000


@pytest.fixture
def checkouts(tmp_path: Path, blobs: Blobs, connection: sqlite3.Connection) -> Checkouts:
    connection.executescript(files("kaos.pachd").joinpath("pps/schema.sql").read_text())
    return Checkouts(tmp_path / "checkouts", blobs)


def hold(connection: sqlite3.Connection, root: str) -> None:
    connection.execute("INSERT OR IGNORE INTO repos VALUES (1, 'default', 'r', 'user', '', 0)")
    connection.execute(
        "INSERT INTO commits (commit_set, repo, branch, origin, description, started, root)"
        " VALUES (hex(randomblob(16)), 1, 'b', 1, '', 0, ?)",
        (root,),
    )


def test_what_nobody_holds_is_removed(
    connection: sqlite3.Connection, blobs: Blobs, checkouts: Checkouts, tree: MakeTree
) -> None:
    kept, gone = tree({"/a": b"1", "/d/b": b"22"}), tree({"/a": b"1", "/d/c": b"333"})
    hold(connection, kept)
    for root in (kept, gone):
        checkouts.path(connection, trees.root_node(connection, root))
    lost, _ = blobs.put(b"of a broken upload")
    assert collect(connection, blobs=blobs, checkouts=checkouts, older_than=FUTURE) == 3 + 18
    assert not blobs.path(lost).exists()
    assert all(blobs.path(node.hash).exists() for _, node in trees.files(connection, kept))
    assert checkouts.path(connection, trees.root_node(connection, kept)).is_dir()
    assert [path.name for path in checkouts._root.iterdir()] == [kept]
    assert collect(connection, blobs=blobs, checkouts=checkouts, older_than=FUTURE) == 0


def test_what_is_young_is_kept(
    connection: sqlite3.Connection, blobs: Blobs, checkouts: Checkouts, tmp_path: Path
) -> None:
    digest, _ = blobs.put(b"of an upload under way")
    made = tmp_path / "made"
    made.write_bytes(b"of a job that says it is old")
    os.utime(made, (0, 0))
    adopted, _ = blobs.adopt(made)
    assert collect(connection, blobs=blobs, checkouts=checkouts, older_than=time.time() - 10) == 0
    assert blobs.path(digest).exists()
    assert blobs.path(adopted).exists()


@pytest.mark.parametrize("again", ["put", "write", "adopt"])
def test_what_is_asked_for_again_is_young_again(
    connection: sqlite3.Connection, blobs: Blobs, checkouts: Checkouts, tmp_path: Path, again: str
) -> None:
    digest, _ = blobs.put(b"content")
    os.utime(blobs.path(digest), (0, 0))
    if again == "put":
        blobs.put(b"content")
    elif again == "write":
        with blobs.writer() as writer:
            writer.write(b"content")
            writer.close()
    else:
        (tmp_path / "made").write_bytes(b"content")
        blobs.adopt(tmp_path / "made")
    assert collect(connection, blobs=blobs, checkouts=checkouts, older_than=time.time() - 10) == 0
    assert blobs.path(digest).read_bytes() == b"content"


def test_what_is_asked_for_in_the_last_moment_is_kept(blobs: Blobs) -> None:
    digest, _ = blobs.put(b"content")
    os.utime(blobs.path(digest), (0, 0))

    def ask_for_it(_: str) -> bool:
        blobs.put(b"content")
        return True

    assert blobs.discard(ask_for_it, time.time() - 10) == 0
    assert blobs.path(digest).read_bytes() == b"content"
