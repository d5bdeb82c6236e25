"""What every request goes through: the token on the way in, and on the way out errors as gRPC statuses."""

import errno
import hmac
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import structlog

from kaos.pachd.errors import StatusError, unsupported

TOKEN_HEADER: Final = "authn-token"  # noqa: S105  # its name, not a token
# As with Pachyderm, whoever probes whether a server lives needs no token.
_OPEN_TO_ALL: Final = frozenset(
    {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/versionpb_v2.API/GetVersion"}
)

log = structlog.get_logger()


class Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # untyped upstream
    """Refuses requests without `token` (where it isn't empty), and turns what handlers raise into statuses."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Wraps the handler of one request."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        if self._token and method not in _OPEN_TO_ALL and not self._knows(handler_call_details.invocation_metadata):
            return _refusal(StatusError(grpc.StatusCode.UNAUTHENTICATED, "no or a wrong authentication token"))
        if handler is None:
            return _refusal(unsupported(method))
        if handler.response_streaming:
            return _streaming(handler, method)
        return _unary(handler, method)

    def _knows(self, metadata: Any) -> bool:
        given = dict(metadata or ()).get(TOKEN_HEADER, "")
        return hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._token)


def _refusal(error: StatusError) -> Any:
    async def refuse(_request: Any, context: Any) -> Any:
        await context.abort(error.code, error.message)

    return grpc.unary_unary_rpc_method_handler(refuse)


def _unary(handler: Any, method: str) -> Any:
    behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary

    async def answer(request: Any, context: Any) -> Any:
        try:
            return await behaviour(request, context)
        except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a status
            await _abort(error, method, context)

    kind = "stream_unary" if handler.request_streaming else "unary_unary"
    return handler._replace(**{kind: answer})


def _streaming(handler: Any, method: str) -> Any:
    behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream

    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(request, context):
                yield response
        except Exception as error:  # noqa: BLE001
            await _abort(error, method, context)

    kind = "stream_stream" if handler.request_streaming else "unary_stream"
    return handler._replace(**{kind: answer})


async def _abort(error: Exception, method: str, context: Any) -> None:
    status = _status_of(error, method)
    if status.code is grpc.StatusCode.INTERNAL:
        log.error("request.failed", method=method, exc_info=error)
    await context.abort(status.code, status.message)


def _status_of(error: Exception, method: str) -> StatusError:
    if isinstance(error, StatusError):
        return error
    if isinstance(error, NotImplementedError):
        # The generated services raise it for what no one has written.
        return unsupported(method)
    full = isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL
    if full or (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}):
        return StatusError(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "the engine's disk is full: free space below its home, then try again"
        )
    return StatusError(
        grpc.StatusCode.INTERNAL,
        f"the embedded engine failed in {method}: {type(error).__name__}; its log has the rest",
    )
