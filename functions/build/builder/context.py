"""The build context: every file of the bundle's model/ folder, with what decides whether a COPY has changed."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from functions.build.builder.ignore import ignored
from shared.bundles import PROGRAM_BYTES, is_program
from shared.errors import Reject

_MAX_DEPTH = 32


@dataclass(frozen=True)
class Entry:
    """A file (or, with no digest, a folder) of the context; `path` is relative and uses `/`."""

    path: str
    source: Path
    executable: bool
    digest: str


def read(directory: Path) -> dict[str, Entry]:
    """What is in the context, by path, sorted. Raises Reject `build.bundle-malformed` on links in circles."""
    ignore = directory / ".dockerignore"
    leaves_out = ignored(ignore.read_text(errors="replace") if ignore.is_file() else "")
    found: dict[str, Entry] = {}
    _walk(directory, "", found)
    kept = {path for path in found if not leaves_out(path)}
    # A kept file keeps its folders.
    folders = {parent for path in kept for parent in _parents(path)}
    return {path: found[path] for path in sorted(kept | folders)}


def _walk(directory: Path, prefix: str, found: dict[str, Entry]) -> None:
    if prefix.count("/") > _MAX_DEPTH:
        raise Reject("build.bundle-malformed", f"model/{prefix} lies deeper than {_MAX_DEPTH} folders.")
    with os.scandir(directory) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir():
                found[path] = Entry(path, Path(entry.path), executable=True, digest="")
                _walk(Path(entry.path), path + "/", found)
            elif entry.is_file():
                found[path] = _file(path, Path(entry.path))
            else:
                raise Reject("build.bundle-malformed", f"model/{path} is neither a file nor a folder.")


def _file(path: str, source: Path) -> Entry:
    with source.open("rb") as file:
        start = file.read(PROGRAM_BYTES)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        executable = is_program(start) or bool(os.fstat(file.fileno()).st_mode & 0o100)
    return Entry(path, source, executable, digest)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
