"""Where everything of the stack on this machine lies: one directory, closed to other users."""

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from shared.errors import KaosError

_SECRETS: Final = "secrets.json"
# 32 hexadecimal characters are 128 random bits, and need no quoting in any configuration file.
_SECRET_BYTES: Final = 16
# What was logged before is worth one look back, not a full disk.
_LOG_MAX_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class Secrets:
    """What each door of the stack asks for; made once, and kept so that clients outlive a restart."""

    api_token: str = field(repr=False)
    webhook_token: str = field(repr=False)
    pachd_token: str = field(repr=False)
    nats_password: str = field(repr=False)
    subscriber_password: str = field(repr=False)
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Home:
    """KAOS_HOME: each server's state in a folder of its own, the logs of all of them, and what ties them together."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives; its content is the supervisor's process id."""
        return self.root / "lock"

    @property
    def record(self) -> Path:
        """Addresses and processes of the running stack: see kaos.stack.status."""
        return self.root / "stack.json"

    @property
    def ports(self) -> Path:
        """The ports used last."""
        return self.root / "ports.json"

    @property
    def images(self) -> Path:
        """The store that builds fill and jobs start from."""
        return self.root / "images"

    def of(self, server: str) -> Path:
        """The state of one server."""
        return self.root / server

    def log(self, server: str) -> Path:
        """What one server says."""
        return self.root / "logs" / f"{server}.log"


def prepare(root: Path) -> Home:
    """Makes the directories. Raises KaosError `home.unusable` where it can't."""
    home = Home(root.expanduser().absolute())
    try:
        for folder in (home.root, home.root / "logs", home.images, *map(home.of, ("nats", "s3", "pachd"))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KaosError(
            "home.unusable",
            f"kaos can't keep its state in {root} ({error.strerror}): set KAOS_HOME to a directory you can write.",
        ) from error
    return home


def secrets_of(home: Home) -> Secrets:
    """The secrets of this stack; made at the first call. Raises KaosError `home.secrets` where the file is damaged."""
    path = home.root / _SECRETS
    names = [each.name for each in fields(Secrets)]
    known = read_json(path)
    if all(isinstance(known.get(name), str) and known[name] for name in names):
        return Secrets(**{name: known[name] for name in names})
    if known:
        raise KaosError("home.secrets", f"{path} lacks secrets that it should hold: restore it, or delete it.")
    made = Secrets(**{name: secrets.token_hex(_SECRET_BYTES) for name in names})
    write_json(path, asdict(made))
    return made


def open_log(path: Path) -> int:
    """A descriptor that appends to the log, and keeps one earlier file of it."""
    if path.exists() and path.stat().st_size > _LOG_MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def trim_log(path: Path) -> None:
    """Empties a log that has become too long, while its writer, who appends, runs on; keeps what was in it."""
    if path.exists() and path.stat().st_size > _LOG_MAX_BYTES:
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty where there is none. Raises KaosError `home.damaged`."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise KaosError("home.damaged", f"{path} is damaged ({error}): delete it and start again.") from error
    return found if isinstance(found, dict) else {}


def write_json(path: Path, content: object) -> None:
    """Replaces the file as a whole, readable by its owner alone from the first byte."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces the file as a whole, readable by its owner alone from the first byte."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
