"""Asks each server, in its own protocol, whether it serves. No client library: a supervisor should stay small."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

from kaos.stack.ports import HOST

# Loopback answers in microseconds: a server that takes this long is not well.
_TIMEOUT_SECONDS: Final = 2.0
# NATS tells about itself in one line of about 400 bytes.
_LINE_MAX_BYTES: Final = 1 << 16

# RFC 9113: what a client of HTTP/2, and so of gRPC, sends first is this and a SETTINGS frame, here an empty one.
_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HTTP2_HEADER_BYTES: Final = 9
_HTTP2_TYPE: Final = 3
_HTTP2_SETTINGS: Final = 4

# grpc.health.v1, as it looks on the wire: HealthCheckResponse{status: SERVING}.
_HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x08\x01"

Question = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]


async def nats(port: int, user: str, password: str) -> bool:
    """Whether a NATS server lets the user in."""
    options = {"user": user, "pass": password, "verbose": False, "pedantic": False, "lang": "kaos", "version": "0"}

    async def question(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readline()  # INFO
        writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        return await reader.readline() == b"PONG\r\n"

    return await _ask(port, question)


async def http(port: int, path: str) -> bool:
    """Whether GET of the path is answered with 200."""

    async def question(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]

    return await _ask(port, question)


async def grpc(port: int) -> bool:
    """Whether something that speaks HTTP/2, as gRPC does, greets back."""

    async def question(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(_HTTP2_PREFACE)
        return (await reader.readexactly(_HTTP2_HEADER_BYTES))[_HTTP2_TYPE] == _HTTP2_SETTINGS

    return await _ask(port, question)


async def grpc_health(port: int) -> bool:
    """Whether a gRPC server's own health service says that it serves. This one takes the library's 0.1 s to import."""
    from grpc import RpcError, aio  # noqa: PLC0415

    async with aio.insecure_channel(f"{HOST}:{port}", options=(("grpc.enable_http_proxy", 0),)) as channel:
        try:
            answer: bytes = await channel.unary_unary(_HEALTH_CHECK)(b"", timeout=_TIMEOUT_SECONDS)
        except RpcError:
            return False
        return answer == _SERVING


async def _ask(port: int, question: Question) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port, limit=_LINE_MAX_BYTES)
            try:
                return await question(reader, writer)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return False
