"""The interpreter of the host that `FROM python:X.Y` selects."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from functions.build.builder.dockerfile import refused
from shared.errors import Reject
from shared.images import digest_of

_OFFICIAL = re.compile(
    r"(?:docker\.io/)?(?:library/)?python(?::(?P<version>[0-9.]+|latest)?(?:-?(?P<variant>[\w.-]+))?)?"
)
_OTHER_SYSTEMS = ("alpine", "windowsservercore", "nanoserver")
_OLDEST = (3, 7)
_QUERY_SECONDS = 20


@dataclass(frozen=True)
class Interpreter:
    """An interpreter; `identity` is what `python -VV` says, which tells builds of one version apart."""

    path: Path
    version: str
    identity: str


def wanted(image: str, line: int) -> str:
    """The version that a FROM asks for (`3.7`, `3`, or empty for any). Raises Reject `build.policy`."""
    match = _OFFICIAL.fullmatch(image)
    if not match:
        raise refused(line, f"FROM {image[:120]} is not an official Python image (python:X.Y).")
    if match["variant"] and match["variant"].startswith(_OTHER_SYSTEMS):
        raise refused(line, f"FROM {image[:120]} is another system than this machine's; use python:X.Y-slim.")
    version = (match["version"] or "").replace("latest", "").strip(".")
    numbers = tuple(int(number) for number in version.split(".") if number)
    if len(numbers) > 1 and numbers < _OLDEST:
        raise refused(line, f"FROM {image[:120]}: kaos builds run Python 3.7 or newer.")
    return version


def find(version: str, cache: Path) -> Interpreter:
    """The best interpreter of this machine: the exact patch where it is there, else the newest of X.Y.

    `cache` is a directory that remembers what interpreters said of themselves. Raises Reject `build.no-interpreter`.
    """
    candidates = _candidates()
    asked = version.split(".")
    for part in (asked, asked[:2]) if len(asked) > 2 else (asked,):  # noqa: PLR2004 - major.minor
        for path in candidates:
            if part[:2] != [""] and not _may_be(path, part[:2]):
                continue
            found = _query(path, cache)
            if found and (part == [""] or found.version.split(".")[: len(part)] == part):
                return found
    there = sorted({found.version for path in candidates if (found := _query(path, cache))}, key=_order)
    raise Reject(
        "build.no-interpreter",
        f"The Dockerfile wants Python {version}, which this machine has not (it has {', '.join(there) or 'none'}): "
        f"install it, for example with `uv python install {version}`, or change FROM.",
    )


def _candidates() -> list[Path]:
    """Interpreters by their file names, newest first; pyenv's shims only pretend to be some."""
    home = Path(os.environ.get("HOME", "/nonexistent"))
    folders = [
        *home.glob(".pyenv/versions/*/bin"),
        *home.glob(".local/share/uv/python/cpython-*/bin"),
        *(Path(folder) for folder in os.environ.get("PATH", "").split(":") if folder and "/shims" not in folder),
        *(Path(sys.base_prefix, "bin"), Path("/usr/local/bin"), Path("/usr/bin")),
    ]
    found = {
        file.resolve()
        for folder in folders
        if folder.is_dir()
        for file in folder.glob("python3.*")
        if re.fullmatch(r"python3\.\d+", file.name) and os.access(file, os.X_OK)
    }
    # Of one X.Y, an installation of its own comes before the system's, which distributions take parts out of.
    return sorted(
        found, key=lambda path: (_order(path.name[6:]), path.parent != Path("/usr/bin"), str(path)), reverse=True
    )


def _may_be(path: Path, version: list[str]) -> bool:
    return path.name[6:].split(".")[: len(version)] == version


def _query(path: Path, cache: Path) -> Interpreter | None:
    status = path.stat()
    remembered = cache / f"{digest_of([str(path), status.st_mtime_ns, status.st_size])[:16]}.json"
    if remembered.exists():
        version, identity = json.loads(remembered.read_text())
        return Interpreter(path, version, identity)
    try:
        said = subprocess.run(
            [path, "-I", "-S", "-VV"], capture_output=True, text=True, timeout=_QUERY_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"Python (3\.\d+\.\d+)", said.stdout)
    if not match:
        return None
    cache.mkdir(parents=True, exist_ok=True)
    draft = remembered.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps([match[1], said.stdout.strip()]))
    draft.replace(remembered)
    return Interpreter(path, match[1], said.stdout.strip())


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
