"""What the command line remembers between two calls, in KAOS_HOME: which stack, which workspace, and the last lists."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shared.errors import KaosError, Unreachable

# The name a workspace gets from those who never chose one.
DEFAULT_WORKSPACE = "default"

_CONNECTION = "client.json"
_STATE = "cli.json"


@dataclass(frozen=True)
class Connection:
    """Where the gateway is, and the token it wants."""

    endpoint: str
    token: str = field(repr=False)


@dataclass
class State:
    """The current workspace ("" where none was chosen), and the rows that `-i` addresses."""

    workspace: str = ""
    workspaces: list[str] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=dict)


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """$KAOS_HOME, or ~/.kaos."""
    return Path(environ.get("KAOS_HOME") or Path.home() / ".kaos")


def connection(folder: Path, environ: Mapping[str, str] = os.environ) -> Connection:
    """KAOS_ENDPOINT and KAOS_TOKEN, else what `kaos up` or `kaos init` wrote.

    A token is only ever sent to the endpoint it was written with. Raises Unreachable where no stack is known.
    """
    endpoint, token = environ.get("KAOS_ENDPOINT", ""), environ.get("KAOS_TOKEN", "")
    known = _read(folder / _CONNECTION)
    known_endpoint, known_token = str(known.get("endpoint", "")), str(known.get("token", ""))
    if not endpoint:
        endpoint = known_endpoint
    if not endpoint:
        raise Unreachable(
            "stack.unknown",
            "No kaos stack is known here: start one with `kaos up --detach`, or name one with `kaos init -e URL`.",
        )
    if not token and endpoint == known_endpoint:
        token = known_token
    return Connection(endpoint, token)


def connect(folder: Path, chosen: Connection) -> None:
    """Makes `chosen` the stack that later commands use; forgets what was remembered of another."""
    if _read(folder / _CONNECTION).get("endpoint") != chosen.endpoint:
        write(folder, State())
    _write(folder / _CONNECTION, asdict(chosen))


def read(folder: Path) -> State:
    """What is remembered; nothing where the file is missing or is of another making."""
    found = _read(folder / _STATE)
    workspace, workspaces, runs = found.get("workspace"), found.get("workspaces"), found.get("runs")
    return State(
        workspace=workspace if isinstance(workspace, str) else "",
        workspaces=[str(name) for name in workspaces] if isinstance(workspaces, list) else [],
        runs={str(name): list(map(str, ids)) for name, ids in runs.items() if isinstance(ids, list)}
        if isinstance(runs, dict)
        else {},
    )


def write(folder: Path, state: State) -> None:
    """Remembers `state` whole, or not at all."""
    _write(folder / _STATE, asdict(state))


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise KaosError("state.broken", f"{path} is not JSON: delete it, and set again what it held.") from None
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # For the owner's eyes from the first byte: it may hold a token.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    draft.replace(path)
