"""HTTP to hosts that nobody vouches for: addresses are looked up once, checked, and kept to; redirects likewise.

Connections are kept alive for the next file of the same host. What may be tried again is raised as Trouble.
"""

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from ipaddress import ip_address
from typing import IO, Any, Final
from urllib.parse import urljoin

from shared.addresses import Allowed, refusal
from shared.errors import Reject
from shared.urls import Url, parse_http, redacted

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX: Final = 3
_CONNECT_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 256 * 1024
# What a connection must bring within `patience` (a minute): slower than a modem is no download.
_PATIENCE_BYTES: Final = 64 * 1024
# What is read of an answer that is of no interest, to save the connection.
_DRAIN_BYTES: Final = 64 * 1024
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kaos-fetch"}

_Address = tuple[socket.AddressFamily, Any]  # as socket.connect takes it


class Trouble(Exception):
    """What may pass: a sentence without its beginning, and how many seconds the server asked for."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Response:
    """An answer whose body is still to be read."""

    def __init__(self, response: http.client.HTTPResponse, connection: "_Connection") -> None:
        self.status, self.reason, self.headers = response.status, response.reason, response.headers
        self._response, self._connection = response, connection

    @property
    def remaining(self) -> int | None:
        """How many bytes are still to come; None where the server does not say."""
        return self._response.length

    def chunks(self) -> Iterator[bytes]:
        """The body, in pieces as they come. Raises Trouble where it breaks off, or ends before its announced length."""
        while True:
            try:
                chunk = self._response.read1(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise Trouble(self._connection.why(error)) from error
            if not chunk:
                break
            self._connection.received += len(chunk)
            yield chunk
        if self._connection.cut_because:
            raise Trouble(self._connection.cut_because)
        if self.remaining:
            raise Trouble(f"the answer ended {self.remaining:,} bytes early")
        self._response.read()  # of no bytes: marks the answer as read


class Web:
    """The connections of one program. `cut_stalled` is to be called now and then by somebody who waits for nothing."""

    def __init__(self, allow: Allowed, patience: float) -> None:
        self._allow, self._patience = allow, patience
        self._lock = threading.Lock()
        self._addresses: dict[tuple[str, int], list[_Address]] = {}
        self._idle: defaultdict[tuple[str, str, int], list[_Connection]] = defaultdict(list)
        self._busy: set[_Connection] = set()

    @contextmanager
    def get(self, url: Url, headers: Mapping[str, str], *, trusted: bool = False) -> Iterator[Response]:
        """Asks for `url`, through at most three redirects.

        A trusted one is the operator's own: its address is not checked, and it may not redirect. Raises Trouble, and
        Reject `fetch.address`, `fetch.redirect` or `fetch.certificate`.
        """
        for _ in range(_REDIRECTS_MAX + 1):
            connection, response = self._ask(url, {**_HEADERS, **headers}, trusted=trusted)
            try:
                location = response.headers.get("Location") if response.status in _REDIRECTS else None
                if location is None or trusted:
                    yield Response(response, connection)
                    return
                _drain(response)
            finally:
                self._give_back(url, connection, response)
            url = _redirected(url, location)
        raise Reject("fetch.redirect", f"{redacted(str(url))} is the end of more than {_REDIRECTS_MAX} redirects.")

    def cut_stalled(self) -> None:
        """Breaks every connection that has brought next to nothing for too long, whatever it is waiting for."""
        now = time.monotonic()
        with self._lock:
            for connection in self._busy:
                if connection.received - connection.seen >= _PATIENCE_BYTES:
                    connection.seen, connection.since = connection.received, now
                elif now - connection.since > self._patience:
                    connection.cut(f"it brought next to nothing for {self._patience:g} s")

    def cut_all(self) -> None:
        """Breaks every connection."""
        with self._lock:
            for connection in self._busy:
                connection.cut("it was stopped")

    def close(self) -> None:
        """Closes the connections that are kept for more."""
        with self._lock:
            for connection in (connection for idle in self._idle.values() for connection in idle):
                connection.close()
            self._idle.clear()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _ask(
        self, url: Url, headers: dict[str, str], *, trusted: bool
    ) -> tuple["_Connection", http.client.HTTPResponse]:
        while True:
            connection = self._take(url, trusted=trusted)
            reused = connection.sock is not None
            try:
                connection.request("GET", url.target, headers=headers)
                connection.hasten()
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._drop(connection)
                if reused and isinstance(error, ConnectionError) and not connection.cut_because:
                    continue  # the server had closed it meanwhile
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise Reject(
                        "fetch.certificate",
                        f"{url.host} has no certificate that this machine trusts: {error.verify_message}.",
                    ) from error
                raise Trouble(connection.why(error)) from error

    def _take(self, url: Url, *, trusted: bool) -> "_Connection":
        with self._lock:
            idle = self._idle[url.scheme, url.host, url.port]
            connection = idle.pop() if idle else None
        if connection is not None and connection.is_spoilt():
            connection.close()
            connection = None
        if connection is None:
            addresses = self._look_up(url, trusted=trusted)
            with self._lock:
                tls = self._tls if url.scheme == "https" else None
            connection = _Connection(url, addresses, tls, self._patience)
        connection.begin()
        with self._lock:
            self._busy.add(connection)
        return connection

    def _give_back(self, url: Url, connection: "_Connection", response: http.client.HTTPResponse) -> None:
        if not response.isclosed() or connection.sock is None:
            response.close()  # which may hold the socket even where the connection does not
            self._drop(connection)
            return
        with self._lock:
            self._busy.discard(connection)
            self._idle[url.scheme, url.host, url.port].append(connection)

    def _drop(self, connection: "_Connection") -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _look_up(self, url: Url, *, trusted: bool) -> list[_Address]:
        """The addresses that the host may be asked at, the same ones as long as the program runs."""
        with self._lock:
            known = self._addresses.get((url.host, url.port))
        if known is None:
            try:
                found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise Trouble(f"the host {url.host} is not known here ({error.strerror})") from error
            with self._lock:
                known = self._addresses.setdefault(
                    (url.host, url.port), [(family, address) for family, _, _, _, address in found]
                )
        return known if trusted else self._checked(url, known)

    def _checked(self, url: Url, addresses: list[_Address]) -> list[_Address]:
        reasons = [
            refusal(url.host, url.port, ip_address(address[0].partition("%")[0]), self._allow)
            for _, address in addresses
        ]
        allowed = [address for address, reason in zip(addresses, reasons, strict=True) if reason is None]
        if not allowed:
            raise Reject(
                "fetch.address",
                f"{redacted(str(url))} leads to an address that is {reasons[0]}: only public addresses are fetched, "
                "and those in KAOS_FETCH_ALLOW.",
            )
        return allowed


class _Head:
    """The head of an answer, which must have an end: http.client would take what is cut off there for a whole one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readline(self, limit: int = -1) -> bytes:
        """The next line. Raises RemoteDisconnected where there is no end of it."""
        line = self._file.readline(limit)
        if not line.endswith(b"\n") and len(line) != limit:
            raise http.client.RemoteDisconnected("the connection was closed in the middle of the headers")
        return line

    def close(self) -> None:
        """What http.client does where this is no HTTP."""
        self._file.close()


class _HTTPResponse(http.client.HTTPResponse):
    def begin(self) -> None:
        """Reads the head."""
        file = self.fp
        head: Any = _Head(file)
        self.fp = head
        try:
            super().begin()
        finally:
            if self.fp is head:  # else http.client has closed it
                self.fp = file


class _Connection(http.client.HTTPConnection):
    """A connection to one of the given addresses. `received` counts the bytes of bodies, `seen` those at `since`."""

    response_class = _HTTPResponse

    def __init__(self, url: Url, addresses: list[_Address], tls: ssl.SSLContext | None, patience: float) -> None:
        super().__init__(url.host, url.port, timeout=patience)
        self.default_port = 443 if tls else 80  # which the Host header leaves out
        self._addresses, self._tls = addresses, tls
        self._wire: socket.socket | None = None
        self.received, self.seen, self.since, self.cut_because = 0, 0, 0.0, ""

    def begin(self) -> None:
        """Starts the clock for another answer."""
        self.received, self.seen, self.since, self.cut_because = 0, 0, time.monotonic(), ""

    def connect(self) -> None:
        """Connects to the first address that answers. Raises OSError."""
        self._wire = self.sock = self._connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            tls = self._tls.wrap_socket(
                self.sock,
                server_hostname=self.host,
                do_handshake_on_connect=False,
                # Else whoever cuts the line could pass the beginning of a body off as the whole.
                suppress_ragged_eofs=False,
            )
            self._wire = self.sock = tls  # before the handshake, which may have to be cut too
            tls.do_handshake()

    def hasten(self) -> None:
        """Acknowledges the next packet at once: many servers send a body only when their headers have arrived.

        Linux would else wait for 40 ms, which is 400 s for 10,000 small files one by one.
        """
        if self.sock is not None and hasattr(socket, "TCP_QUICKACK"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def cut(self, why: str) -> None:
        """Ends whatever another thread waits for."""
        self.cut_because = why
        if self._wire is not None:
            with contextlib.suppress(OSError):
                # Not by the method of a TLS socket, which takes away the state that the other thread is using.
                socket.socket.shutdown(self._wire, socket.SHUT_RDWR)

    def is_spoilt(self) -> bool:
        """Whether a connection at rest was closed, or holds bytes that would be taken for the next answer."""
        assert self.sock is not None
        pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
        return bool(pending or select.select([self.sock], [], [], 0)[0])

    def why(self, error: Exception) -> str:
        """What went wrong, as people say it."""
        if self.cut_because:
            return self.cut_because
        if isinstance(error, TimeoutError):
            return "it did not answer in time"
        if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
            return "the connection was closed in the middle"
        told = getattr(error, "strerror", None) or str(error)
        return f"{type(error).__name__}: {told}" if isinstance(error, http.client.HTTPException) else str(told)

    def _connect(self) -> socket.socket:
        failure: OSError | None = None
        for family, address in self._addresses:
            wire = socket.socket(family, socket.SOCK_STREAM)
            try:
                wire.settimeout(_CONNECT_SECONDS)
                wire.connect(address)
            except OSError as error:
                wire.close()
                failure = error
                continue
            wire.settimeout(self.timeout)
            return wire
        raise failure or OSError("the host has no address")


def _redirected(url: Url, location: str) -> Url:
    try:
        target = parse_http(urljoin(str(url), location))
    except ValueError as error:
        raise Reject(
            "fetch.redirect", f"{redacted(str(url))} redirects to {redacted(location)!r}, which {error}."
        ) from None
    if url.scheme == "https" and target.scheme == "http":
        raise Reject(
            "fetch.redirect",
            f"{redacted(str(url))} redirects from https to {redacted(str(target))}, which is not safe.",
        )
    return target


def _drain(response: http.client.HTTPResponse) -> None:
    """Reads a short body, so that its connection can be used again."""
    if response.length is not None and response.length <= _DRAIN_BYTES:
        with contextlib.suppress(OSError, http.client.HTTPException):
            response.read()
