"""Transactions over the wire: requests are recorded and tried, and all applied at the end as one commit set."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import empty_pb2
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.transaction import transaction_pb2, transaction_pb2_grpc

from kaos.pachd.database import Database
from kaos.pachd.errors import not_found, unsupported
from kaos.pachd.transaction import Transaction

# By the name of the field in transaction_v2.TransactionRequest: what the request does.
Actions = Mapping[str, Callable[[Transaction, Any], Any]]
HEADER = "pach-transaction"


class WireTransactions:
    """Performs requests that may be part of a transaction."""

    def __init__(self, database: Database, actions: Actions) -> None:
        self._database = database
        self._actions = actions

    async def perform(self, action: str, request: Any, context: Any) -> Any:
        """Does it at once; or, within a transaction, tries it and records it. Returns what the action returns."""
        transaction = dict(context.invocation_metadata()).get(HEADER, "")
        if not transaction:
            return await self._database.write(lambda txn: self._actions[action](txn, request))
        added = transaction_pb2.TransactionRequest(**{action: request})
        return await self._database.write(lambda txn: self._record(txn, transaction, added), id=transaction)

    async def batch(self, requests: list[Any]) -> Any:
        """Performs all at once."""
        transaction = uuid.uuid4().hex
        responses = await self._database.write(lambda txn: self._replay(txn, requests), id=transaction)
        return _info(transaction, requests, responses)

    async def finish(self, transaction: str) -> Any:
        """Applies the recorded requests; NOT_FOUND where there is no such transaction (any more)."""

        def apply(txn: Transaction) -> Any:
            info = _load(txn, transaction)
            _delete(txn, transaction)
            return _info(transaction, list(info.requests), self._replay(txn, list(info.requests)))

        return await self._database.write(apply, id=transaction)

    def _record(self, txn: Transaction, transaction: str, added: Any) -> Any:
        info = _load(txn, transaction)
        info.requests.append(added)
        txn.connection.execute("SAVEPOINT trial")
        try:
            response = self._replay(txn, list(info.requests))[-1]
        finally:
            txn.connection.execute("ROLLBACK TO trial")
            txn.connection.execute("RELEASE trial")
            txn.forget()
        txn.connection.execute(
            "UPDATE transactions SET requests = ? WHERE id = ?", (info.SerializeToString(), transaction)
        )
        return response

    def _replay(self, txn: Transaction, requests: list[Any]) -> list[Any]:
        responses = []
        for request in requests:
            action = next((field.name for field, _ in request.ListFields()), "nothing at all")
            if action not in self._actions:
                raise unsupported(f"{action} in a transaction")
            responses.append(self._actions[action](txn, getattr(request, action)))
        return responses


class TransactionService(transaction_pb2_grpc.APIServicer):  # type: ignore[misc]  # generated, untyped
    """transaction_v2.API."""

    def __init__(self, database: Database, wire: WireTransactions) -> None:
        self._database = database
        self._wire = wire

    async def StartTransaction(self, _request: Any, _context: Any) -> Any:  # noqa: N802  # the protocol's names
        """Opens a transaction."""
        transaction = uuid.uuid4().hex

        def insert(txn: Transaction) -> None:
            empty = transaction_pb2.TransactionInfo(transaction=transaction_pb2.Transaction(id=transaction))
            empty.started.FromNanoseconds(txn.now)
            row = (transaction, txn.now, empty.SerializeToString())
            txn.connection.execute("INSERT INTO transactions VALUES (?, ?, ?)", row)

        await self._database.write(insert)
        return transaction_pb2.Transaction(id=transaction)

    async def InspectTransaction(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """NOT_FOUND."""
        return await self._database.read(lambda connection: _read(connection, request.transaction.id))

    async def ListTransaction(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Those that are not finished."""
        rows = await self._database.read(
            lambda connection: connection.execute("SELECT requests FROM transactions ORDER BY started").fetchall()
        )
        infos = [transaction_pb2.TransactionInfo.FromString(row["requests"]) for row in rows]
        return transaction_pb2.TransactionInfos(transaction_info=infos)

    async def DeleteTransaction(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Forgets it: it can't be finished after this. NOT_FOUND."""

        def delete(txn: Transaction) -> None:
            _load(txn, request.transaction.id)
            _delete(txn, request.transaction.id)

        await self._database.write(delete)
        return empty_pb2.Empty()

    async def DeleteAll(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Forgets all."""
        await self._database.write(lambda txn: txn.connection.execute("DELETE FROM transactions"))
        return empty_pb2.Empty()

    async def FinishTransaction(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Applies it."""
        return await self._wire.finish(request.transaction.id)

    async def BatchTransaction(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Applies these requests as one."""
        return await self._wire.batch(list(request.requests))


def _read(connection: Any, transaction: str) -> Any:
    row = connection.execute("SELECT requests FROM transactions WHERE id = ?", (transaction,)).fetchone()
    if row is None:
        raise not_found(f"transaction {transaction}")
    return transaction_pb2.TransactionInfo.FromString(row["requests"])


def _load(txn: Transaction, transaction: str) -> Any:
    return _read(txn.connection, transaction)


def _delete(txn: Transaction, transaction: str) -> None:
    txn.connection.execute("DELETE FROM transactions WHERE id = ?", (transaction,))


def _info(transaction: str, requests: list[Any], responses: list[Any]) -> Any:
    return transaction_pb2.TransactionInfo(
        transaction=transaction_pb2.Transaction(id=transaction),
        requests=requests,
        # Only StartCommit answers with something.
        responses=[
            transaction_pb2.TransactionResponse(commit=response if isinstance(response, pfs_pb2.Commit) else None)
            for response in responses
        ],
    )
