"""What the supervisor tells about the stack in a file, for `kaos status`: addresses and processes, no secrets."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from kaos.stack.home import Home, read_json, write_json
from kaos.stack.ports import HOST, Ports
from kaos.stack.supervisor import Watched


@dataclass(frozen=True)
class ServerRecord:
    """One server. `pid` is None while it waits to be started again; `started` is in seconds since the epoch."""

    pid: int | None
    port: int
    started: float
    restarts: int
    crashes: int
    last_end: str
    seconds_to_answer: float


@dataclass(frozen=True)
class Record:
    """The stack as it was when a server last started or ended."""

    pid: int
    started: float
    ports: Ports
    servers: Mapping[str, ServerRecord]

    @property
    def endpoint(self) -> str:
        """Where the gateway is."""
        return f"http://{HOST}:{self.ports.gateway}"


def write(home: Home, *, started: float, ports: Ports, watched: Sequence[Watched]) -> None:
    """Replaces the record."""
    servers = {each.server.name: asdict(_server(each)) for each in watched}
    write_json(
        home.record,
        {"pid": os.getpid(), "started": started, "ports": asdict(ports), "servers": servers},
    )


def read(home: Home) -> Record | None:
    """The record; None where there is none that makes sense, as while a stack starts for the first time."""
    found = read_json(home.record)
    try:
        return Record(
            pid=int(found["pid"]),
            started=float(found["started"]),
            ports=Ports(**found["ports"]),
            servers={str(name): _known(told) for name, told in found["servers"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _known(told: Mapping[str, Any]) -> ServerRecord:
    return ServerRecord(**{each.name: told[each.name] for each in fields(ServerRecord)})


def _server(watched: Watched) -> ServerRecord:
    return ServerRecord(
        pid=watched.process.pid if watched.process else None,
        port=watched.server.port,
        started=watched.started,
        restarts=watched.restarts,
        crashes=watched.crashes,
        last_end=watched.last_end,
        seconds_to_answer=round(watched.seconds_to_answer, 3),
    )
