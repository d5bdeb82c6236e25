"""Serves the gateway over HTTP until it is cancelled."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from shared.errors import KaosError
from shared.settings import Settings

# Requests take milliseconds. Followed logs and events have no end: their readers connect again.
_DRAIN_SECONDS: Final = 3


async def run(api: FastAPI, settings: Settings) -> None:
    """Serves until cancelled; then requests that run are answered. Raises KaosError `gateway.address`."""
    config = uvicorn.Config(
        api,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = _Server(config)
    with _listening(settings.gateway_host, settings.gateway_port) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes none: what a signal means to this process, its composition root decides."""
        yield


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise KaosError(
            "gateway.address",
            f"The gateway can't listen on {host} port {port} ({error.strerror}): see KAOS_GATEWAY_HOST and "
            "KAOS_GATEWAY_PORT.",
        ) from error
