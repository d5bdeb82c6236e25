"""A server that is not well is not taken for one that is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from kaos.stack import probes

PROBES: dict[str, Callable[[int], Awaitable[bool]]] = {
    "nats": lambda port: probes.nats(port, "kaos", "secret"),
    "http": lambda port: probes.http(port, "/healthz"),
    "grpc": probes.grpc,
}


@asynccontextmanager
async def server(says: bytes, *, closes: bool) -> AsyncIterator[int]:
    served = set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            writer.write(says)
            await writer.drain()
            if not closes:
                await reader.read()  # until the client has gone
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await asyncio.gather(*filter(None, served))


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"INFO {}\r\n-ERR 'no'\r\n"])
async def test_other_answers_are_no(name: str, says: bytes) -> None:
    async with server(says, closes=True) as port:
        assert not await PROBES[name](port)
    assert not await PROBES[name](port)


@pytest.mark.parametrize("name", PROBES)
async def test_silence_is_no(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_TIMEOUT_SECONDS", 0.05)
    async with server(b"", closes=False) as port:
        assert not await PROBES[name](port)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nats", b"INFO {}\r\nPONG\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("grpc", bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))),
    ],
)
async def test_the_right_answer_is_yes(name: str, says: bytes) -> None:
    async with server(says, closes=True) as port:
        assert await PROBES[name](port)
