"""A web site on loopback for the fetcher's tests: serves files with ranges, and misbehaves where a test says so."""

import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Misbehaviour = Callable[["Handler"], None]


@dataclass
class Site:
    """What it serves. `files` by path; `acts` answer instead, by path; `asked` and `ranges` tell what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    acts: dict[str, Misbehaviour] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    address: str = "127.0.0.1"
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    def ranges(self) -> list[str]:
        return [headers["Range"] for headers in self.headers if "Range" in headers]


class Handler(BaseHTTPRequestHandler):
    """Answers GET with a file, whole or from an offset."""

    protocol_version = "HTTP/1.1"
    site: Site

    def setup(self) -> None:
        super().setup()
        self.site.connections += 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.site.asked[path] += 1
        self.site.headers.append(dict(self.headers.items()))
        if path in self.site.acts:
            self.site.acts[path](self)
        elif path in self.site.files:
            self.give(self.site.files[path])
        else:
            self.head(404, {"Content-Length": "0"})

    def give(self, content: bytes) -> None:
        start = self.start()
        whole = len(content)
        extra = {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"} if start else {}
        tag = {"ETag": '"v1"', "Content-Length": str(whole - start)}
        self.head(206 if start else 200, tag | extra)
        self.wfile.write(content[start:])

    def start(self) -> int:
        """The offset that the request asks to begin at."""
        asked = self.headers.get("Range", "bytes=0-")
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def head(self, status: int, headers: dict[str, str]) -> None:
        # One write, as real servers do.
        lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1"))

    def hang_up(self) -> None:
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """Many connections at once; what a client breaks off is no error."""

    daemon_threads = True
    request_queue_size = 128
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        # Here, in the connection's own thread: a handshake may take for ever.
        with self.tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def serve(site: Site, tls: ssl.SSLContext | None = None) -> Server:
    """A server on a free port; the caller runs and closes it."""
    server = Server((site.address, 0), type("Bound", (Handler,), {"site": site}))
    server.tls = tls
    site.port = server.server_address[1]
    return server
