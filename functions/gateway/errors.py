"""Turns every failure into `{"error": {"code", "message"}}` with a fitting status, and never a traceback."""

import grpc
import structlog
from botocore.exceptions import ClientError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from nats.errors import Error as NatsError
from starlette.exceptions import HTTPException

from shared.errors import Conflict, KaosError, NotFound, Reject

log = structlog.get_logger()


class Refused(KaosError):
    """The request itself is at fault, in a way that has an HTTP `status` of its own (401, 413, …)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = status


def handle_errors(app: FastAPI) -> None:
    """Makes `app` answer each kind of failure with its status, code and sentence."""
    app.add_exception_handler(KaosError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(NatsError, _nats)
    app.add_exception_handler(TimeoutError, _nats)
    app.add_exception_handler(grpc.RpcError, _pachyderm)
    # What python-pachyderm makes of an RpcError where nobody listens.
    app.add_exception_handler(ConnectionError, _pachyderm)
    app.add_exception_handler(ClientError, _store)
    app.add_exception_handler(Exception, _unknown)


def answer(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The one form that errors have."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _known(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, KaosError)
    match error:
        case Refused():
            status = error.status
        case Reject():
            status = 400
        case NotFound():
            status = 404
        case Conflict():
            status = 409
        case _:  # Unreachable and Retry: it may work in a moment
            status = 503
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "1"} if status == 503 else None  # noqa: PLR2004
    return answer(status, error.code, error.message, headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answer(400, "request.invalid", "; ".join(sentence(detail) for detail in error.errors()[:5]) + ".")


def sentence(detail: object) -> str:
    """One of pydantic's findings, as `where: what`; the value found is not repeated (it may be a secret)."""
    assert isinstance(detail, dict)
    where = ".".join(str(step) for step in detail["loc"])
    return f"{where}: {detail['msg']}" if where else str(detail["msg"])


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "route.unknown", 405: "route.method"}.get(error.status_code, "request.invalid")
    headers = dict(error.headers) if error.headers else None
    return answer(error.status_code, code, f"{error.detail}: /docs lists what there is.", headers)


async def _nats(_: Request, error: Exception) -> JSONResponse:
    log.warning("gateway.nats-failed", error=repr(error))
    message = "NATS does not answer, so nothing was recorded: try again, and see `kaos status`."
    return answer(503, "nats.unreachable", message, {"Retry-After": "1"})


async def _pachyderm(_: Request, error: Exception) -> JSONResponse:
    log.warning("gateway.pachyderm-failed", error=repr(error))
    message = "Pachyderm does not answer as it should: try again, and see `kaos status`."
    return answer(503, "pachyderm.unreachable", message, {"Retry-After": "1"})


async def _store(_: Request, error: Exception) -> JSONResponse:
    log.warning("gateway.store-failed", error=repr(error))
    message = "The object store refused what kaos asked of it: see `kaos status`, and the gateway's log."
    return answer(502, "s3.refused", message)


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    log.error("gateway.failed", error=repr(error))
    message = "The gateway failed in a way it should not: its log tells how. Nothing of yours is lost; try again."
    return answer(500, "internal.error", message)
