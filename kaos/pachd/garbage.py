"""Gives back the disk that nothing needs any more: content of deleted repos, dropped commits and broken uploads."""

import asyncio
import sqlite3
import time
from functools import partial
from typing import Final

import structlog

from kaos.pachd.database import Database
from kaos.pachd.storage import trees
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.checkouts import Checkouts

# What is stored belongs to a commit only when its upload, or the datum that made it, is over: neither takes longer.
_GRACE_SECONDS: Final = 24 * 3600.0
_PAUSE_SECONDS: Final = 3600.0
# 64 bits of a hash: a million files take 64 MB, and one that is kept by mistake does no harm.
_PREFIX: Final = 16

log = structlog.get_logger()


async def collect_for_ever(database: Database, blobs: Blobs, checkouts: Checkouts) -> None:
    """Looks every hour, until cancelled."""
    while True:
        await asyncio.sleep(_PAUSE_SECONDS)
        work = partial(collect, blobs=blobs, checkouts=checkouts, older_than=time.time() - _GRACE_SECONDS)
        try:
            log.info("garbage.collected", bytes=await database.read(work))
        except OSError as error:
            log.warning("garbage.failed", error=str(error))


def collect(connection: sqlite3.Connection, *, blobs: Blobs, checkouts: Checkouts, older_than: float) -> int:
    """Removes files and checkouts that no commit and no datum holds and nobody asked for since `older_than`.

    Time is in seconds since the epoch. Returns the bytes of the files. Safe beside writers: see Blobs.discard.
    """
    files, directories = _held(connection)
    checkouts.discard(lambda name: _key(name) not in directories, older_than)
    return blobs.discard(lambda digest: _key(digest) not in files, older_than)


def _held(connection: sqlite3.Connection) -> tuple[set[int], set[int]]:
    """The files and directories of all commits, and of what jobs under way have made so far."""
    files: set[int] = set()
    directories: set[int] = set()
    roots = connection.execute("SELECT root FROM commits UNION SELECT root FROM datums WHERE root <> ''").fetchall()
    waiting = [row["root"] for row in roots]
    while waiting:
        tree = waiting.pop()
        if _key(tree) in directories:
            continue
        directories.add(_key(tree))
        for node in trees.read(connection, tree).values():
            if node.kind == "dir":
                waiting.append(node.hash)
            else:
                files.add(_key(node.hash))
    return files, directories


def _key(digest: str) -> int:
    return int(digest[:_PREFIX], 16)
