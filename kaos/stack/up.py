"""Brings the stack up in this process, which supervises it until SIGTERM or SIGINT."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kaos.stack import lock, ports, record
from kaos.stack.home import Home, prepare, secrets_of
from kaos.stack.servers import Engine, servers
from kaos.stack.supervisor import Tell, Watched, supervise
from shared import shutdown
from shared.errors import KaosError


@dataclass(frozen=True)
class Options:
    """How to start. `ports` by the names of kaos.stack.ports.Ports; those left out are chosen."""

    home: Path
    ports: Mapping[str, int] = field(default_factory=dict)
    engine: Engine = field(default_factory=Engine)


async def up(options: Options, *, ready: Callable[[Home], None], tell: Tell) -> None:
    """Starts everything, calls `ready` when all of it answers, and returns when all of it has ended.

    Raises KaosError: `stack.running` where it is up already, `stack.port-taken`, `stack.start` where a server does not
    come up, `home.…`.
    """
    if sys.platform != "linux":
        raise KaosError("stack.platform", "The stack runs on Linux. Use one that runs elsewhere: `kaos init -e URL`.")
    home = prepare(options.home)
    with lock.held(home):
        home.record.unlink(missing_ok=True)
        try:
            await _up(home, options, ready, tell)
        finally:
            home.record.unlink(missing_ok=True)


async def _up(home: Home, options: Options, ready: Callable[[Home], None], tell: Tell) -> None:
    secrets, chosen, started = secrets_of(home), ports.choose(home, options.ports), time.time()
    watched = [Watched(server) for server in servers(home, chosen, secrets, options.engine)]

    def write() -> None:
        with contextlib.suppress(OSError):  # a full disk must not end what runs
            record.write(home, started=started, ports=chosen, watched=watched)

    def on_ready() -> None:
        write()
        ready(home)

    def on_change(changed: Watched, what: str) -> None:
        write()
        tell(changed, what)

    await supervise(watched, until=shutdown.told(), ready=on_ready, tell=on_change)
