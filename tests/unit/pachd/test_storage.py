"""Files by their content, and directories of links to them."""

import errno
import hashlib
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.checkouts import Checkouts
from kaos.pachd.storage.trees import EMPTY_DIRECTORY
from tests.unit.pachd.conftest import MakeTree

DIGEST = hashlib.sha256(b"content").hexdigest()


def test_equal_content_is_stored_once(blobs: Blobs) -> None:
    assert blobs.put(b"content") == blobs.put(b"content") == (DIGEST, 7)
    with blobs.writer() as writer:
        writer.write(b"con")
        writer.write(b"tent")
        assert writer.close() == (DIGEST, 7)
    path = blobs.path(DIGEST)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    blobs.sync([DIGEST] * 3)
    blobs.sync([DIGEST] * 30)


def test_what_is_not_closed_is_forgotten(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.writer() as writer:
        writer.write(b"content")
    assert not blobs.path(DIGEST).exists()
    assert list((tmp_path / "files/staging").iterdir()) == []


def test_what_was_being_written_at_the_end_is_forgotten(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "files/staging/7").write_bytes(b"half")
    assert blobs.put(b"content") == (DIGEST, 7)
    assert Blobs(tmp_path / "files").path(DIGEST).exists()
    assert list((tmp_path / "files/staging").iterdir()) == []


def test_a_file_is_adopted(blobs: Blobs, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for _ in range(2):
        made.write_bytes(b"content")
        made.chmod(0o4777)
        assert blobs.adopt(made) == (DIGEST, 7)
        assert not made.exists()
    assert stat.S_IMODE(blobs.path(DIGEST).stat().st_mode) == 0o444


def test_what_is_no_file_is_not_adopted(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="symbolic"):
        blobs.adopt(tmp_path / "link")
    for name in ("fifo", "directory"):
        with pytest.raises((ValueError, IsADirectoryError)):
            blobs.adopt(tmp_path / name)
    assert not blobs.path(DIGEST).exists()
    assert (tmp_path / "secret").exists()


@pytest.fixture
def checkouts(tmp_path: Path, blobs: Blobs) -> Checkouts:
    return Checkouts(tmp_path / "checkouts", blobs)


def test_a_tree_is_checked_out(
    connection: sqlite3.Connection, blobs: Blobs, checkouts: Checkouts, tree: MakeTree
) -> None:
    root = trees.root_node(connection, tree({"/a": b"1", "/d/e/b": b"2", "/d/c": b"1"}))
    folder = checkouts.path(connection, root)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} == {"a", "d", "d/e", "d/c", "d/e/b"}
    assert (folder / "d/e/b").read_bytes() == b"2"
    assert (folder / "a").stat().st_ino == (folder / "d/c").stat().st_ino
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "d")} == {0o555}
    assert checkouts.path(connection, root) == folder
    inner = trees.lookup(connection, root.hash, "/d")
    assert inner is not None
    assert {path.name for path in checkouts.path(connection, inner).iterdir()} == {"e", "c"}


def test_a_file_is_the_blob_itself(
    connection: sqlite3.Connection, blobs: Blobs, checkouts: Checkouts, tree: MakeTree
) -> None:
    node = trees.lookup(connection, tree({"/a": b"content"}), "/a")
    assert node is not None
    assert checkouts.path(connection, node) == blobs.path(DIGEST)


def test_nothing_is_checked_out(connection: sqlite3.Connection, checkouts: Checkouts) -> None:
    assert list(checkouts.path(connection, EMPTY_DIRECTORY).iterdir()) == []
    assert list(checkouts.path(connection, EMPTY_DIRECTORY).iterdir()) == []


def copy_of(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Another one with the same in it: as in the engine, no two threads use one at a time."""
    own = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    own.row_factory = sqlite3.Row
    connection.backup(own)
    return own


def test_many_want_it_at_once(
    tmp_path: Path, connection: sqlite3.Connection, checkouts: Checkouts, tree: MakeTree
) -> None:
    node = trees.root_node(connection, tree({f"/d{number % 5}/{number}": b"%d" % number for number in range(200)}))
    ready = threading.Barrier(8)

    def check_out(own: sqlite3.Connection) -> Path:
        with closing(own):
            ready.wait(10)
            return checkouts.path(own, node)

    with ThreadPoolExecutor(8) as threads:
        folders = [future.result() for future in [threads.submit(check_out, copy_of(connection)) for _ in range(8)]]
    assert len(set(folders)) == 1
    assert sum(path.is_file() for path in folders[0].rglob("*")) == 200
    assert [path.name for path in (tmp_path / "checkouts").iterdir()] == [node.hash]


def test_a_file_with_too_many_links_is_copied(
    connection: sqlite3.Connection, checkouts: Checkouts, tree: MakeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    folder = checkouts.path(connection, trees.root_node(connection, tree({"/a": b"content"})))
    assert (folder / "a").read_bytes() == b"content"
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o444


def test_a_checkout_that_fails_leaves_nothing(
    tmp_path: Path, connection: sqlite3.Connection, blobs: Blobs, checkouts: Checkouts, tree: MakeTree
) -> None:
    node = trees.root_node(connection, tree({"/a": b"1", "/d/b": b"content"}))
    blobs.path(DIGEST).unlink()
    with pytest.raises(FileNotFoundError):
        checkouts.path(connection, node)
    assert list((tmp_path / "checkouts").iterdir()) == []
    blobs.put(b"content")
    assert (checkouts.path(connection, node) / "d/b").read_bytes() == b"content"


def test_checkouts_that_were_being_made_at_the_end_are_removed(tmp_path: Path, blobs: Blobs) -> None:
    unfinished = tmp_path / "checkouts/tmp-1/d"
    unfinished.mkdir(parents=True)
    unfinished.chmod(0o555)
    Checkouts(tmp_path / "checkouts", blobs)
    assert list((tmp_path / "checkouts").iterdir()) == []
