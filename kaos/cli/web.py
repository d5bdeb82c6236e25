"""HTTP by the standard library alone: whatever else there is takes longer to import than most commands run."""

import http.client
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shared.errors import KaosError, Unreachable

_CONNECT_SECONDS: Final = 10.0
# The slowest answer that is right: a workspace made on a busy Pachyderm.
ANSWER_SECONDS: Final = 60.0
# A stream may be silent for hours; a peer that has gone is noticed within 30 + 3 x 10 s.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def parse(url: str) -> SplitResult:
    """An http(s) URL without credentials in it. Raises KaosError `endpoint.malformed`."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise KaosError("endpoint.malformed", f"{url[:200]!r} is no address: write http://HOST:PORT or https://HOST.")
    if "@" in parts.netloc:
        raise KaosError("endpoint.malformed", "An endpoint has no user or password in it: use the variable KAOS_TOKEN.")
    return parts


def connect(url: SplitResult) -> http.client.HTTPConnection:
    """A connection to the server of `url`. Raises OSError."""
    assert url.hostname is not None
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname, url.port, timeout=_CONNECT_SECONDS)
    connection.connect()
    opened = connection.sock
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        if hasattr(socket, option):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    opened.settimeout(ANSWER_SECONDS)
    return connection


def send(
    endpoint: SplitResult, method: str, path: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Sends one request; the caller closes the connection when it has read the answer. Raises Unreachable."""
    try:
        connection = connect(endpoint)
    except OSError as error:
        raise unreachable(endpoint, error) from error
    try:
        connection.request(method, endpoint.path.rstrip("/") + path, body=body, headers=dict(headers))
        return connection, connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise unreachable(endpoint, error) from error


def unreachable(endpoint: SplitResult, error: Exception) -> Unreachable:
    """The sentence for a stack that does not answer."""
    why = f" ({error.strerror or error})" if isinstance(error, OSError) else ""
    return Unreachable(
        "stack.unreachable",
        f"No kaos stack answers at {endpoint.geturl()}{why}: start one with `kaos up --detach`, "
        "or name another with `kaos init -e URL`.",
    )
