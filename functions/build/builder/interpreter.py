"""The interpreter of this machine that `FROM python:X.Y` selects: the one asked for, or the nearest newer one."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from functions.build.builder.dockerfile import refused
from shared.disk import sync
from shared.errors import Reject
from shared.images import digest_of

# Variables that say where interpreters are, and whether one may stand in for another.
SETTINGS = ("UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME", "PYENV_ROOT", "KAOS_BUILD_STRICT_PYTHON")

_OFFICIAL = re.compile(
    r"(?:docker\.io/)?(?:library/)?python(?::(?P<version>[0-9.]+|latest)?(?:-?(?P<variant>[\w.-]+))?)?"
)
_OTHER_SYSTEMS = ("alpine", "windowsservercore", "nanoserver")
# The oldest 3.X that uv installs for.
_OLDEST = 7
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
    if version and not re.fullmatch(r"3(\.\d{1,3}){0,2}", version):
        raise refused(line, f"FROM {image[:120]}: kaos builds run Python 3.")
    return version


def is_exactly(interpreter: Interpreter, version: str) -> bool:
    """Whether an interpreter is what a FROM asks for (see `wanted`)."""
    asked = version.split(".") if version else []
    return interpreter.version.split(".")[: len(asked)] == asked


def installed() -> list[Path]:
    """The interpreters of this machine by their file names, newest first; pyenv's shims only pretend to be some."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.expanduser raises where there is no home
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    folders = [
        *managed.glob("cpython-*/bin"),
        *pyenv.glob("versions/*/bin"),
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
    named = [path for path in found if re.fullmatch(r"python3\.\d+", path.name)]
    # Of one X.Y, an installation of its own comes before the system's, which distributions take parts out of.
    return sorted(named, key=lambda path: (_minor(path), path.parent != Path("/usr/bin"), str(path)), reverse=True)


def find(version: str, installed: Sequence[Path], cache: Path, *, strict: bool) -> Interpreter:
    """The interpreter for a version: the one asked for; else the newest patch of its X.Y; else the nearest newer X.Y.

    `strict` takes none but the one asked for. `cache` is a directory that remembers what interpreters said of
    themselves. Raises Reject `build.no-interpreter` where none will do.
    """
    candidates = [path for path in installed if _minor(path) >= _OLDEST]
    for minor in _acceptable(version, {_minor(path) for path in candidates}):
        found = [said for path in candidates if _minor(path) == minor and (said := _query(path, cache))]
        exact = [interpreter for interpreter in found if is_exactly(interpreter, version)]
        if exact or (found and not strict):
            return (exact or found)[0]
    there = sorted({said.version for path in candidates if (said := _query(path, cache))}, key=_order)
    raise Reject(
        "build.no-interpreter",
        f"The Dockerfile wants Python {version}, which this machine has not (it has {', '.join(there) or 'none'}): "
        f"install it, for example with `uv python install {version}`, or change FROM.",
    )


def _acceptable(version: str, minors: set[int]) -> list[int]:
    """The X of the 3.Xs that may stand in for a version, best first: a newer Python runs most of what an older did."""
    _, dot, rest = version.partition(".")
    if not dot:
        return sorted(minors, reverse=True)
    return sorted(minor for minor in minors if minor >= int(rest.partition(".")[0]))


def _minor(path: Path) -> int:
    return int(path.name.removeprefix("python3."))


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
    sync(draft)
    draft.replace(remembered)
    return Interpreter(path, match[1], said.stdout.strip())


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
