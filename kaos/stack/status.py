"""How the stack is right now: asks every server, and looks at its process."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kaos.stack import lock, probes, record
from kaos.stack.home import Home, secrets_of
from kaos.stack.ports import HOST, Ports
from kaos.stack.record import ServerRecord
from kaos.stack.servers import probes_of
from kaos.stack.supervisor import Probe

# Early ends in a row that are more than a mishap.
_LOOP: Final = 3
_KIB: Final = 1024


@dataclass(frozen=True)
class ServerStatus:
    """`state`: up, silent (it runs and does not answer) or down (it waits to be started again).

    `memory` in bytes, what is shared counted once; `seconds` since it was started. `trouble` is a sentence, or empty.
    """

    name: str
    state: str
    address: str
    pid: int | None
    memory: int
    seconds: float
    restarts: int
    trouble: str


@dataclass(frozen=True)
class Status:
    """The whole stack. `well`: every server answers; `pid`: the supervisor; `runtime`: how jobs are isolated."""

    well: bool
    endpoint: str
    pid: int
    seconds: float
    home: str
    runtime: str
    ports: Ports
    servers: list[ServerStatus]


async def look(home: Home) -> Status | None:
    """The status; None where no stack is up, or has not been up yet."""
    pid, known = lock.holder(home), record.read(home)
    if pid is None or known is None:
        return None
    asked = probes_of(known.ports, secrets_of(home)) | {"pachd": lambda: probes.grpc_health(known.ports.pachd)}
    servers = await asyncio.gather(*(_look(home, name, each, asked[name]) for name, each in known.servers.items()))
    return Status(
        well=all(each.state == "up" for each in servers),
        endpoint=known.endpoint,
        pid=pid,
        seconds=time.time() - known.started,
        home=str(home.root),
        runtime=runtime_of(home),
        ports=known.ports,
        servers=servers,
    )


async def _look(home: Home, name: str, known: ServerRecord, answers: Probe) -> ServerStatus:
    memory = _memory(known.pid)
    state = "down" if memory is None else "up" if await answers() else "silent"
    return ServerStatus(
        name=name,
        state=state,
        address=f"{HOST}:{known.port}",
        pid=known.pid,
        memory=memory or 0,
        seconds=time.time() - known.started if memory is not None else 0,
        restarts=known.restarts,
        trouble=_trouble(home, name, state, known),
    )


def runtime_of(home: Home) -> str:
    """How jobs are isolated: the engine says it with its address, in one line of JSON, whenever it is ready."""
    try:
        lines = home.log("pachd").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if line.startswith('{"address"'):
            with contextlib.suppress(ValueError):
                return str(json.loads(line).get("how", ""))
    return ""


def _trouble(home: Home, name: str, state: str, known: ServerRecord) -> str:
    where = f"its log is {home.log(name)}"
    if known.crashes >= _LOOP:
        return (
            f"it ended {known.crashes} times in a row, each soon after its start, last with {known.last_end}; {where}"
        )
    match state:
        case "silent":
            return f"it runs, but does not answer; {where}"
        case "down":
            return f"it ended with {known.last_end or 'no word'} and is about to be started again; {where}"
        case _:
            return ""


def _memory(pid: int | None) -> int | None:
    """Its share of memory in bytes, what several processes share divided between them; None where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * _KIB for line in lines if line.startswith("Pss:")), None)
