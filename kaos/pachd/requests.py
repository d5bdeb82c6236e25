"""Carries a request to the state: as one write (perhaps within a transaction of the wire), one read, or a stream."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from google.protobuf import empty_pb2

from kaos.pachd.database import BATCH, Database
from kaos.pachd.wire import WireTransactions

T = TypeVar("T")


class Requests:
    """What both services do with most of their requests: hand them to a function of a connection."""

    def __init__(self, database: Database, wire: WireTransactions) -> None:
        self._database = database
        self._wire = wire

    async def perform(self, action: str, request: Any, context: Any) -> Any:
        """Does an action that may be part of a transaction, and answers with nothing."""
        await self._wire.perform(action, request, context)
        return empty_pb2.Empty()

    async def write(self, work: Callable[[Any, Any], object], request: Any) -> Any:
        """Does one write, and answers with nothing."""
        await self._database.write(lambda txn: work(txn, request))
        return empty_pb2.Empty()

    async def read(self, work: Callable[[Any, Any], T], request: Any) -> T:
        """What `work` finds."""
        return await self._database.read(lambda connection: work(connection, request))

    def stream(self, work: Callable[[Any, Any], Iterator[T]], request: Any, *, batch: int = BATCH) -> AsyncIterator[T]:
        """What `work` yields; see Database.stream."""
        return self._database.stream(lambda connection: work(connection, request), batch=batch)
