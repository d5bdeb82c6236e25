"""Takes in the stream of ModifyFile: stores the content of files as it comes, and collects what to do with them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from kaos.pachd.errors import unknown, unsupported
from kaos.pachd.pfs.changes import Change, Copy, Delete, Put
from kaos.pachd.pfs.names import valid_path
from kaos.pachd.storage.blobs import Blobs, BlobWriter
from kaos.pachd.storage.trees import Node

# What is collected before a thread stores it: hopping there costs as much as storing one file of a few bytes, and
# this much takes about as long to store as to receive.
_BATCH_BYTES: Final = 512 * 1024
_BATCH_FILES: Final = 64


async def receive(requests: AsyncIterator[Any], blobs: Blobs, threads: ThreadPoolExecutor) -> tuple[Any, list[Change]]:
    """Stores the content of all added files; returns the commit that is meant, and the changes in order.

    The content is durable when this returns; what is stored of a stream that breaks belongs to nobody.
    """
    intake = _Intake(blobs, threads)
    try:
        async for request in requests:
            await intake.take(request)
        await intake.end()
    finally:
        intake.forget()
    if intake.commit is None:
        raise unknown("ModifyFile must begin by naming a commit")
    stored = [change.node.hash for change in intake.changes if isinstance(change, Put)]
    await asyncio.get_running_loop().run_in_executor(threads, blobs.sync, stored)
    return intake.commit, intake.changes


@dataclass
class _Small:
    """A file that came whole: to be stored, and to become the change of this number."""

    number: int
    path: str
    content: bytes


@dataclass
class _Arriving:
    """The file whose messages come in; `writer` once it is too large to wait for its end."""

    path: str
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    writer: BlobWriter | None = None

    def add(self, content: bytes) -> None:
        self.pieces.append(content)
        self.size += len(content)

    def take(self) -> bytes:
        """What has come since."""
        content = b"".join(self.pieces)
        self.pieces, self.size = [], 0
        return content


class _Intake:
    """Joins the messages of each file, which a client sends in pieces of any size.

    What has come is stored in a thread while more arrives: small files by the batch, large ones piece by piece. One
    piece or batch is stored at a time, and who brings the next one waits for it, so that memory stays flat.
    """

    def __init__(self, blobs: Blobs, threads: ThreadPoolExecutor) -> None:
        self.commit: Any = None
        self.changes: list[Change] = []
        self._blobs = blobs
        self._threads = threads
        self._file: _Arriving | None = None
        self._batch: list[_Small] = []
        self._batch_bytes = 0
        self._storing: tuple[Future[None], ...] = ()

    async def take(self, request: Any) -> None:
        match request.WhichOneof("body"):
            case "add_file":
                await self._add(request.add_file)
            case "delete_file":
                await self._end_file()
                self.changes.append(_deletion(request.delete_file.path))
            case "copy_file":
                await self._end_file()
                copied = request.copy_file
                self.changes.append(Copy(valid_path(copied.dst), copied.src, copied.append))
            case "set_commit" if self.commit is None:
                self.commit = request.set_commit
            case other:
                raise unknown(f"unexpected message in ModifyFile: {other}")

    async def end(self) -> None:
        """Nothing more comes: stores what is left."""
        await self._end_file()
        await self._store_batch()
        await self._stored()

    def forget(self) -> None:
        """Removes what was begun and will not be ended."""
        writer = self._file.writer if self._file is not None else None
        if writer is None:
            return
        if not self._storing:
            writer.__exit__()
        else:
            # A thread may be writing still.
            self._storing[0].add_done_callback(lambda _: writer.__exit__())

    async def _add(self, message: Any) -> None:
        if message.WhichOneof("source") == "url":
            raise unsupported("fetching files from a URL")
        if self._file is None or message.path != self._file.path:
            await self._end_file()
            valid_path(message.path)
            self._file = _Arriving(message.path)
        self._file.add(message.raw.value)
        # grpc keeps the message while the next one arrives, and a client sends 19 MiB at a time.
        message.raw.Clear()
        if self._file.size > _BATCH_BYTES:
            await self._write(self._file)

    async def _end_file(self) -> None:
        file = self._file
        if file is None:
            return
        if file.writer is None:
            await self._put(valid_path(file.path), file.take())
        else:
            await self._write(file)
            await self._stored()
            digest, size = file.writer.close()
            self.changes.append(Put(valid_path(file.path), Node("file", digest, size)))
        self._file = None

    async def _put(self, path: str, content: bytes) -> None:
        self._batch.append(_Small(len(self.changes), path, content))
        self.changes.append(Put(path, _TO_COME))
        self._batch_bytes += len(content)
        if self._batch_bytes > _BATCH_BYTES or len(self._batch) == _BATCH_FILES:
            await self._store_batch()

    async def _store_batch(self) -> None:
        await self._stored()
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._storing = (self._threads.submit(_store, batch, self.changes, self._blobs),)

    async def _write(self, file: _Arriving) -> None:
        await self._stored()
        file.writer = file.writer or self._blobs.writer()
        content = file.take()
        submit = self._threads.submit
        self._storing = (submit(file.writer.append, content), submit(file.writer.hash, content))

    async def _stored(self) -> None:
        for storing in self._storing:
            await asyncio.wrap_future(storing)
        self._storing = ()


_TO_COME: Final = Node("file", "", 0)


def _store(batch: list[_Small], changes: list[Change], blobs: Blobs) -> None:
    for small in batch:
        changes[small.number] = Put(small.path, Node("file", *blobs.put(small.content)))


def _deletion(path: str) -> Delete:
    clean = valid_path(path)
    return Delete(f"{clean}/" if path.endswith("/") and clean != "/" else clean)
