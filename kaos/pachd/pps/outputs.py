"""Takes in what a datum wrote: every file below `/pfs/out` becomes content of the store."""

import os
import posixpath
import stat
from pathlib import Path, PurePosixPath
from typing import Final

from kaos.pachd.errors import StatusError
from kaos.pachd.pfs.names import valid_path
from kaos.pachd.storage.blobs import Blobs
from kaos.pachd.storage.trees import Node

# As deep as a bundle may be (bad inputs, row 7), and far from where recursion ends.
_DEPTH_MAX: Final = 100


class OutputError(Exception):
    """What user code wrote can't be kept; the message is a phrase."""


def take_in(out: Path, inputs: tuple[tuple[str, Path], ...], blobs: Blobs) -> list[tuple[str, Node]]:
    """Path and node of every file below `out`, durable when this returns. The directory's files are moved away.

    Nobody may write to `out` any more. A link to a file of `out` or of an input is kept as what it leads to.
    Raises OutputError for names that Pachyderm refuses, for other links, and for what is no file.
    """
    found: list[tuple[str, Node]] = []
    links: list[tuple[str, Path]] = []
    _walk(out, "", blobs, found, links, depth=0)
    kept = dict(found)
    for path, link in links:
        found.append((path, _linked(link, path, kept, inputs, blobs)))
    blobs.sync(node.hash for _, node in found)
    return found


def _walk(
    folder: Path, prefix: str, blobs: Blobs, found: list[tuple[str, Node]], links: list[tuple[str, Path]], *, depth: int
) -> None:
    if depth > _DEPTH_MAX:
        raise OutputError(f"wrote directories nested deeper than {_DEPTH_MAX}: {prefix[:200]}")
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = _checked(f"{prefix}/{entry.name}")
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                # User code may have closed its own directories.
                Path(entry.path).chmod(0o700)
                _walk(Path(entry.path), path, blobs, found, links, depth=depth + 1)
            elif stat.S_ISREG(mode):
                found.append((path, Node("file", *blobs.adopt(Path(entry.path)))))
            elif stat.S_ISLNK(mode):
                links.append((path, Path(entry.path)))
            else:
                raise OutputError(f"wrote {path}, which is neither a file nor a directory")


def _checked(path: str) -> str:
    try:
        return valid_path(path)
    except StatusError as error:
        raise OutputError(f"wrote a file of a name that can't be kept: {error.message[:300]!r}") from error


def _linked(link: Path, path: str, kept: dict[str, Node], inputs: tuple[tuple[str, Path], ...], blobs: Blobs) -> Node:
    """What a link leads to: a file just taken in, or one of an input, where it was seen at `/pfs/<name>`."""
    target = posixpath.normpath(PurePosixPath(f"/pfs/out{path}").parent / link.readlink())
    if target.startswith("/pfs/out/") and (node := kept.get(target.removeprefix("/pfs/out"))):
        return node
    for name, source in inputs:
        seen = f"/pfs/{name}"
        if target == seen or target.startswith(f"{seen}/"):
            original = source / target.removeprefix(seen).lstrip("/") if target != seen else source
            if original.is_file() and not original.is_symlink():
                # Inputs are blobs of the store: their content is there, only its name is to be found.
                with blobs.writer() as writer:
                    writer.write_file(original)
                    return Node("file", *writer.close())
    raise OutputError(f"wrote {path}, a link that leads to no file of its inputs or its output")
