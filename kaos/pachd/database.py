"""The engine's state in SQLite: one writer thread, readers beside it, and a bell that rings at every change."""

import asyncio
import itertools
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeVar

from kaos.pachd.bell import Bell, Thing
from kaos.pachd.transaction import Transaction

T = TypeVar("T")
# Reading is work and not waiting: more threads than a few only take turns.
_READERS: Final = 4
# A batch of file descriptions is about 0.3 MB; hopping between threads for it costs under 1 % of making it.
BATCH: Final = 256
_BUSY_MILLISECONDS: Final = 10_000
# Directories of 10,000 files are rows of 1 MB: SQLite's own 2 MB would hold two.
_CACHE_KIBIBYTES: Final = 8 * 1024
# What a burst of streams opened beyond this is closed when they end.
_IDLE_MAX: Final = 2 * _READERS

# What a write did, whoever wrote it: kept by the writer's connection for itself, and undone with the rest.
_NOTICE: Final = """
    CREATE TEMP TABLE touched (kind TEXT, id INTEGER, PRIMARY KEY (kind, id));
    CREATE TEMP TRIGGER commit_made AFTER INSERT ON commits
        BEGIN INSERT OR IGNORE INTO touched VALUES ('repo', NEW.repo); END;
    CREATE TEMP TRIGGER commit_ended AFTER UPDATE OF finished ON commits
        BEGIN INSERT OR IGNORE INTO touched VALUES ('repo', NEW.repo), ('commit', NEW.id); END;
    CREATE TEMP TRIGGER commit_gone AFTER DELETE ON commits
        BEGIN INSERT OR IGNORE INTO touched VALUES ('repo', OLD.repo), ('commit', OLD.id); END;
    CREATE TEMP TRIGGER repo_gone AFTER DELETE ON repos
        BEGIN INSERT OR IGNORE INTO touched VALUES ('repo', OLD.id); END;
    CREATE TEMP TRIGGER job_made AFTER INSERT ON jobs
        BEGIN INSERT OR IGNORE INTO touched VALUES ('jobs', 0); END;
    CREATE TEMP TRIGGER job_ended AFTER UPDATE OF finished ON jobs
        BEGIN INSERT OR IGNORE INTO touched VALUES ('jobs', 0); END;
    CREATE TEMP TRIGGER job_gone AFTER DELETE ON jobs
        BEGIN INSERT OR IGNORE INTO touched VALUES ('jobs', 0); END;
"""

Finish = Callable[[Transaction], None]


class Database:
    """Opens (and makes) the database at `path`. `before_commit` completes every write: it propagates commits.

    synchronous=FULL: a write that was answered survives a power cut (0.28 ms a commit here, 0.02 without).
    """

    def __init__(self, path: Path, before_commit: Finish) -> None:
        self._path = path
        self._before_commit = before_commit
        self._bell = Bell()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="pachd-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="pachd-reader")
        self._idle: list[sqlite3.Connection] = []
        self._connection = self._connect()
        self._connection.execute("PRAGMA journal_mode = WAL")
        for schema in ("schema.sql", "pps/schema.sql"):
            self._connection.executescript(files("kaos.pachd").joinpath(schema).read_text())
        self._connection.execute("PRAGMA temp_store = MEMORY")
        self._connection.executescript(_NOTICE)

    async def write(self, work: Callable[[Transaction], T], *, id: str | None = None) -> T:  # noqa: A002  # it is one
        """Runs `work` in a transaction of its own whose commit set is `id`; what it raises undoes everything.

        Once begun it is carried out, whether or not the caller is still there.
        """
        loop = asyncio.get_running_loop()
        transaction = Transaction(self._connection, id or uuid.uuid4().hex, time.time_ns())
        touched: set[Thing] = set()
        writing = self._writer.submit(self._write, transaction, work, touched)
        # Not after the await: a caller that went away must not keep others from being woken.
        writing.add_done_callback(lambda _: loop.call_soon_threadsafe(self._bell.ring, touched))
        return await asyncio.wrap_future(writing)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on one consistent state."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def stream(
        self, work: Callable[[sqlite3.Connection], Iterator[T]], *, batch: int = BATCH
    ) -> AsyncIterator[T]:
        """What `work` yields on one consistent state, read `batch` items at a time, one batch ahead.

        No thread waits for a slow client: 1,000 forgotten streams hold 1,000 open connections and nothing else.
        """
        connection = self._borrow()
        found = work(connection)
        ahead = self._readers.submit(_take, found, batch)
        try:
            while items := await asyncio.wrap_future(ahead):
                ahead = self._readers.submit(_take, found, batch)
                for item in items:
                    yield item
        finally:
            # A thread may be reading from it still.
            ahead.add_done_callback(lambda _: self._give_back(connection))

    def version(self) -> int:
        """See Bell.version."""
        return self._bell.version()

    async def changed(self, since: int) -> int:
        """See Bell.changed."""
        return await self._bell.changed(since)

    def listen(self, *things: Thing) -> AbstractContextManager[asyncio.Event]:
        """See Bell.listen."""
        return self._bell.listen(*things)

    def close(self) -> None:
        """Waits for reads and writes under way."""
        self._writer.shutdown()
        self._readers.shutdown()
        for connection in (*self._idle, self._connection):
            connection.close()

    def _write(self, transaction: Transaction, work: Callable[[Transaction], T], touched: set[Thing]) -> T:
        connection = transaction.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(transaction)
            self._before_commit(transaction)
            touched.update(map(tuple, connection.execute("DELETE FROM touched RETURNING kind, id").fetchall()))
            connection.execute("COMMIT")
        except BaseException:
            # A full disk has made SQLite roll back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._borrow()
        try:
            return work(connection)
        finally:
            self._give_back(connection)

    def _borrow(self) -> sqlite3.Connection:
        """A connection at the beginning of a transaction."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        connection.execute("BEGIN")
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        if len(self._idle) < _IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        # Autocommit: transactions are begun and ended here and nowhere else.
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        return connection


def _take(found: Iterator[T], batch: int) -> list[T]:
    return list(itertools.islice(found, batch))
