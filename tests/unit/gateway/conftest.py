"""The app over fakes, and a driver that speaks ASGI to it: no sockets."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.js import JetStreamContext

from functions.gateway.app import app
from shared.bucket import Bucket
from shared.bus import Bus
from shared.pachyderm import Pachyderm
from shared.runs import Runs
from shared.settings import Settings


@dataclass
class Stream:
    """What of JetStream the webhook needs: it acknowledges, unless it is down."""

    published: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    down: bool = False

    async def publish(self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str]) -> None:  # noqa: ASYNC109  # nats-py names it so
        if self.down:
            raise NoRespondersError
        self.published[headers["Nats-Msg-Id"]] = (subject, json.loads(payload))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        error = self.json["error"]
        assert set(error) == {"code", "message"}
        assert error["message"]
        return str(error["code"])


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"api_token": "open", "webhook_token": "sesame"})


@pytest.fixture(scope="session")
def built() -> FastAPI:
    """Building the app takes longer than most tests of it."""
    bus = Bus(cast("Client", None), cast("JetStreamContext", None), "test")
    return app(
        settings=Settings(),
        bus=bus,
        runs=cast("Runs", None),
        pachyderm=cast("Pachyderm", None),
        bucket=cast("Bucket", None),
    )


@pytest.fixture
def api(built: FastAPI, stream: Stream, settings: Settings) -> FastAPI:
    """The app as if it were built over these."""
    services = built.state.services
    bus = replace(services.bus, stream=cast("JetStreamContext", stream))
    built.state.services = replace(services, bus=bus, settings=settings)
    return built


@pytest.fixture
def ask(api: FastAPI) -> Ask:
    """Asks the app; `token` goes into the Authorization header as it is."""

    async def ask(
        method: str,
        path: str,
        body: bytes = b"",
        *,
        token: str = "",
        chunks: int = 1,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        path, _, query = path.partition("?")
        given = {"content-type": "application/json", **({"authorization": token} if token else {}), **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }
        size = -(-len(body) // chunks) or 1
        pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        received: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            received.append(message)

        await api(scope, receive, send)
        start = received[0]
        return Answer(
            start["status"],
            {name.decode().lower(): value.decode() for name, value in start["headers"]},
            b"".join(message.get("body", b"") for message in received[1:]),
        )

    return ask
