"""What jobs say: one file a job, a line a record, in the order it came; read again, or followed live."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

# A longer line is kept in pieces: readers hold whole lines in memory.
LINE_MAX_BYTES: Final = 16 * 1024
# A training that prints more than this is broken, and must not fill the disk.
_DATUM_MAX_BYTES: Final = 256 * 2**20
_READ_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class Record:
    """One line. `time` in ns since the epoch; `user`: user code wrote it, else the engine."""

    time: int
    datum: str
    user: bool
    text: str


class JobLogs:
    """The logs below `root`: which are being written, and a bell for each that somebody follows."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bells: dict[str, asyncio.Event] = {}
        self._written: set[str] = set()
        root.mkdir(parents=True, exist_ok=True)

    def open(self, job: str) -> "JobLog":
        """Opens a job's log to be written on; `job` is fit for a file's name."""
        log = JobLog(self._path(job), ring=lambda: self.ring(job), closed=lambda: self._close(job))
        self._written.add(job)
        return log

    def ring(self, job: str) -> None:
        """Wakes those who follow the job: there is more, or it is over."""
        if (bell := self._bells.pop(job, None)) is not None:
            bell.set()

    async def read(self, job: str) -> AsyncIterator[Record]:
        """Every line written so far."""
        with _Reader(self._path(job)) as reader:
            while records := reader.more():
                for record in records:
                    yield record
                await asyncio.sleep(0)  # others have their turn between two batches

    async def follow(self, job: str, is_over: Callable[[], Awaitable[bool]]) -> AsyncIterator[Record]:
        """Every line written so far and from now on, until the job is over."""
        with _Reader(self._path(job)) as reader:
            while True:
                bell = self._bells.setdefault(job, asyncio.Event())
                # Asked before reading: what is written before a job's end is read before this ends. While its log is
                # being written it is not over, which need not be asked for every line.
                over = job not in self._written and await is_over()
                while records := reader.more():
                    for record in records:
                        yield record
                if over:
                    return
                await bell.wait()

    def forget(self, job: str) -> None:
        """Removes the log."""
        self._path(job).unlink(missing_ok=True)

    def _close(self, job: str) -> None:
        self._written.discard(job)
        self.ring(job)

    def _path(self, job: str) -> Path:
        return self._root / f"{job}.ndjson"


class JobLog:
    """Appends to one job's log. What an engine that was killed left of a line is removed."""

    def __init__(self, path: Path, *, ring: Callable[[], None], closed: Callable[[], None]) -> None:
        self._ring = ring
        self._closed = closed
        self._file: IO[bytes] = path.open("ab")
        _drop_unfinished_line(path, self._file)

    def close(self) -> None:
        """Lets go of the file, and wakes those who follow."""
        self._file.close()
        self._closed()

    def say(self, datum: str, text: str) -> None:
        """A line of the engine's own."""
        self._write([Record(time.time_ns(), datum, False, text)])

    def of(self, datum: str) -> "DatumLog":
        """Where the output of one attempt at a datum goes."""
        return DatumLog(datum, self._write)

    def _write(self, records: list[Record]) -> None:
        lines = (json.dumps([record.time, record.datum, record.user, record.text]) for record in records)
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        self._ring()


class DatumLog:
    """Makes lines of what user code writes: bytes in pieces of any size, which may be no text at all."""

    def __init__(self, datum: str, write: Callable[[list[Record]], None]) -> None:
        self._datum = datum
        self._write = write
        self._rest = b""
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Takes the next piece."""
        if self._size > _DATUM_MAX_BYTES:
            return
        self._size += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        pieces = [piece for line in lines for piece in _pieces(line)]
        while len(self._rest) > LINE_MAX_BYTES:
            pieces.append(self._rest[:LINE_MAX_BYTES])
            self._rest = self._rest[LINE_MAX_BYTES:]
        if self._size > _DATUM_MAX_BYTES:
            pieces.append(f"[log truncated: more than {_DATUM_MAX_BYTES:,} bytes]".encode())
            self._rest = b""
        self._keep(pieces)

    def end(self) -> None:
        """Takes what was written after the last newline as a line."""
        if self._rest:
            self._keep([self._rest])
            self._rest = b""

    def _keep(self, pieces: list[bytes]) -> None:
        if pieces:
            now = time.time_ns()
            texts = (piece.removesuffix(b"\r").decode(errors="backslashreplace") for piece in pieces)
            self._write([Record(now, self._datum, True, text) for text in texts])


class _Reader:
    """Reads a log that may still grow, or even be begun."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def more(self) -> list[Record]:
        """The next records; none where there are none for now."""
        if self._file is None:
            try:
                self._file = self._path.open("rb", buffering=0)
            except FileNotFoundError:
                return []
        # Holds whole lines: escaped as JSON, a piece of 16 KiB takes 96 KiB at most.
        *lines, self._rest = (self._rest + self._file.read(_READ_BYTES)).split(b"\n")
        return [Record(*json.loads(line)) for line in lines]


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + LINE_MAX_BYTES] for start in range(0, len(line), LINE_MAX_BYTES)] or [b""]


def _drop_unfinished_line(path: Path, file: IO[bytes]) -> None:
    size = path.stat().st_size
    with path.open("rb") as written:
        position = size
        while position:
            start = max(0, position - _READ_BYTES)
            written.seek(start)
            newline = written.read(position - start).rfind(b"\n")
            if newline >= 0:
                position = start + newline + 1
                break
            position = start
    if position < size:
        os.ftruncate(file.fileno(), position)
