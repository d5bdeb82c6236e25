"""The answers that are not an answer, with the codes and the words of Pachyderm 2.7.8 where clients look at them."""

import grpc


class StatusError(Exception):
    """Ends a request with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(what: str, where: str = "") -> StatusError:
    """`repo default/a not found`, `file /a not found in repo …`."""
    return StatusError(grpc.StatusCode.NOT_FOUND, f"{what} not found {where}".rstrip())


def already_exists(what: str) -> StatusError:
    """`repo default/a already exists`."""
    return StatusError(grpc.StatusCode.ALREADY_EXISTS, f"{what} already exists")


def unknown(message: str) -> StatusError:
    """Pachyderm's plain errors have no code of their own."""
    return StatusError(grpc.StatusCode.UNKNOWN, message)


def invalid(message: str) -> StatusError:
    """The request itself makes no sense."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def precondition(message: str) -> StatusError:
    """The state of things forbids it."""
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, message)


def unsupported(what: str) -> StatusError:
    """Outside the embedded engine's subset."""
    return StatusError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"the embedded engine does not support {what}; a Pachyderm cluster does",
    )
