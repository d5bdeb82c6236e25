"""Which ports the servers listen on: those asked for, else those of last time, else free ones."""

import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from kaos.stack.home import Home, read_json, write_json
from shared.errors import KaosError

HOST: Final = "127.0.0.1"
# Below the range that outgoing connections get theirs from (32768 up, on Linux): a client that reconnects to a server
# which is just being restarted would now and then be given the server's own port, and connect to itself.
_LOWEST, _COUNT = 20_000, 10_000
_ATTEMPTS: Final = 100


@dataclass(frozen=True)
class Ports:
    """A port for each door."""

    gateway: int
    nats: int
    s3: int
    s3_metrics: int
    pachd: int


def choose(home: Home, asked: Mapping[str, int]) -> Ports:
    """The ports for a start now. Raises KaosError `stack.port-taken` where one asked for is in use."""
    last = _last(home)
    chosen: dict[str, int] = {}
    for name in (each.name for each in fields(Ports)):
        wanted = asked.get(name, 0)
        if wanted and not _is_free(wanted):
            raise KaosError(
                "stack.port-taken",
                f"Port {wanted} ({name}) is in use by another program: stop that (`ss -ltnp` names it), or choose "
                f"another port or none at all, which takes a free one.",
            )
        if not wanted and name in last and last[name] not in chosen.values() and _is_free(last[name]):
            # Clients, and links already signed, stay right over a restart.
            wanted = last[name]
        chosen[name] = wanted or _free(taken={*chosen.values(), *asked.values()})
    ports = Ports(**chosen)
    write_json(home.ports, asdict(ports))
    return ports


def _last(home: Home) -> dict[str, int]:
    try:
        known: dict[str, Any] = read_json(home.ports)
    except KaosError:
        return {}  # only a preference
    return {name: port for name, port in known.items() if isinstance(port, int)}


def _free(*, taken: set[int]) -> int:
    for _ in range(_ATTEMPTS):
        port = _LOWEST + secrets.randbelow(_COUNT)
        if port not in taken and _is_free(port):
            return port
    raise KaosError("stack.no-port", f"No port between {_LOWEST} and {_LOWEST + _COUNT} is free on this machine.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do it: connections of the last server that still linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
