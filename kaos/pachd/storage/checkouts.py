"""Directories of real files for jobs to read: hard links to blobs, made once for each tree and shared by all datums."""

import errno
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.trees import Node

# Where a runtime can't bind them read-only, these keep at least an honest job from changing what others read.
_DIRECTORY_MODE: Final = 0o555
_FILE_MODE: Final = 0o444
_OPEN_MODE: Final = 0o755


class Checkouts:
    """The directories below `root`, each named by its tree's hash, complete as soon as it is there."""

    def __init__(self, root: Path, blobs: Blobs) -> None:
        self._root = root
        self._blobs = blobs
        root.mkdir(parents=True, exist_ok=True)
        for unfinished in root.glob("tmp-*"):
            _remove(unfinished)

    def path(self, connection: sqlite3.Connection, node: Node) -> Path:
        """Where the file or directory can be read. Safe to call from several threads at once.

        A file is the blob itself, named by its hash: where it is bound or linked decides its name.
        """
        if node.kind == "file":
            return self._blobs.path(node.hash)
        target = self._root / node.hash
        if not target.exists():
            self._make(connection, node, target)
        return target

    def discard(self, unwanted: Callable[[str], bool], older_than: float) -> None:
        """Removes the checkouts (by their tree's hash) that are `unwanted` and were made before `older_than`.

        Time is in seconds since the epoch.
        """
        for checkout in self._root.iterdir():
            if checkout.stat().st_mtime < older_than and unwanted(checkout.name):
                removed = checkout.rename(self._root / f"tmp-{uuid.uuid4().hex}")
                _remove(removed)

    def _make(self, connection: sqlite3.Connection, node: Node, target: Path) -> None:
        staged = self._root / f"tmp-{uuid.uuid4().hex}"
        try:
            self._fill(connection, node, staged)
            staged.rename(target)
        except OSError:
            # A directory can't be renamed over one that holds something: another thread was faster.
            if not target.exists():
                raise
        finally:
            if staged.exists():
                _remove(staged)

    def _fill(self, connection: sqlite3.Connection, node: Node, folder: Path) -> None:
        folder.mkdir(mode=_OPEN_MODE)
        for name, child in trees.read(connection, node.hash).items():
            if child.kind == "dir":
                self._fill(connection, child, folder / name)
            else:
                _link(self._blobs.path(child.hash), folder / name)
        folder.chmod(_DIRECTORY_MODE)


def _link(blob: Path, path: Path) -> None:
    try:
        os.link(blob, path)
    except OSError as error:
        # ext4 has 65,000 links a file, which empty files reach.
        if error.errno != errno.EMLINK:
            raise
        shutil.copyfile(blob, path)
        path.chmod(_FILE_MODE)


def _remove(checkout: Path) -> None:
    """Removes a checkout, whose directories are closed."""
    for folder, _, _ in os.walk(checkout):
        Path(folder).chmod(_OPEN_MODE)
    shutil.rmtree(checkout)
