"""COPY and ADD of files of the context: a layer of its own, made without following anything that a layer holds."""

import fnmatch
import posixpath
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from functions.build.builder.context import Entry
from functions.build.builder.dockerfile import Instruction, malformed, refused
from functions.build.builder.filesystem import look_up
from functions.build.builder.ignore import pattern_of
from functions.build.builder.state import Build
from functions.build.builder.words import paths
from shared.images import digest_of

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@", re.IGNORECASE)
_HARMLESS_FLAGS = ("chown", "link")


@dataclass(frozen=True)
class Placement:
    """An entry of the context and the absolute path that it gets in the image."""

    entry: Entry
    target: str


def plan(build: Build, instruction: Instruction) -> tuple[list[Placement], int | None]:
    """What goes where, and the mode of `--chmod`. Raises Reject `build.dockerfile` or `build.policy`."""
    mode = _mode(instruction)
    words = paths(instruction.value, build.variables)
    if len(words) < 2:  # noqa: PLR2004 - a source and a destination
        raise malformed(instruction.line, f"{instruction.name} needs a source and a destination.")
    *sources, destination = words
    for source in sources:
        _check_source(instruction, source)
    found = [match for source in sources for match in _matches(build.context, source, instruction.line)]
    target, is_folder = _target(build, instruction.line, destination, several=len(found) > 1)
    placements = []
    for top in found:
        entry = build.context.get(top)
        if entry is None or not entry.digest:  # a folder: what is in it, without its own name
            inside = [item for path, item in build.context.items() if _below(path, top)]
            placements += [
                Placement(item, posixpath.join(target, posixpath.relpath(item.path, top or "."))) for item in inside
            ]
        else:
            name = posixpath.basename(entry.path)
            placements.append(Placement(entry, posixpath.join(target, name) if is_folder else target))
    _check_places(build, instruction, placements)
    return placements, mode


def content_key(placements: list[Placement], mode: int | None) -> str:
    """What decides whether a COPY has changed."""
    return digest_of([mode, [(item.target, item.entry.digest, item.entry.executable) for item in placements]])


def fill(root: Path, placements: list[Placement], mode: int | None) -> None:
    """Writes the files into an empty layer. Copies: the context's files may be shared, and are never changed."""
    for item in placements:
        path = root / item.target.lstrip("/")
        if not item.entry.digest:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(item.entry.source, path)
        path.chmod(mode if mode is not None else 0o755 if item.entry.executable else 0o644)


def _mode(instruction: Instruction) -> int | None:
    mode = None
    for name, value in instruction.flags:
        if name == "chmod" and re.fullmatch(r"0?[0-7]{3}", value):
            mode = int(value, 8)
        elif name == "from":
            raise refused(instruction.line, "COPY --from takes files out of another image.")
        elif name not in _HARMLESS_FLAGS:
            raise refused(instruction.line, f"{instruction.name} --{name}={value} is not followed.")
    return mode


def _check_source(instruction: Instruction, source: str) -> None:
    if _REMOTE.match(source):
        raise refused(
            instruction.line,
            f"{instruction.name} of a URL is not allowed; put the file into model/, or fetch and verify it in a RUN.",
            way_out=False,
        )
    if posixpath.normpath(source.lstrip("/") or ".").startswith(".."):
        raise malformed(
            instruction.line, f"{source[:80]!r} leads out of the build context, which is the folder model/."
        )
    if instruction.name == "ADD" and source.lower().endswith(_ARCHIVES):
        raise refused(instruction.line, "ADD of an archive would unpack it; write COPY, and RUN tar -xf.")


def _matches(context: dict[str, Entry], source: str, line: int) -> list[str]:
    """Paths of the context that a source names; the empty path is the whole of it."""
    path = posixpath.normpath("/" + source).lstrip("/")
    if path in context or (path == "" and context):
        return [path]
    if re.search(r"[*?\[]", path):
        pattern = re.compile(pattern_of(path) + r"\Z")
        found = [candidate for candidate in context if pattern.match(candidate)]
        if found:
            return found
    near = next((name for name in context if fnmatch.fnmatch(name.lower(), path.lower())), None)
    hint = f" (there is {near!r})" if near else ""
    raise malformed(line, f"there is no {source[:80]!r} in the build context, which is the folder model/{hint}.")


def _target(build: Build, line: int, destination: str, *, several: bool) -> tuple[str, bool]:
    """The absolute, link-free path of a destination, and whether files go below it."""
    real, kind = look_up(build.roots(), posixpath.join(build.workdir, destination))
    is_folder = destination.endswith("/") or destination in (".", "..") or kind == "directory"
    if several and not is_folder:
        raise malformed(line, f"several files can't all become {destination[:80]!r}: end the destination with '/'.")
    if is_folder and kind == "other":
        raise malformed(line, f"{destination[:80]!r} is a file in the image, not a folder.")
    return real, is_folder


def _check_places(build: Build, instruction: Instruction, placements: list[Placement]) -> None:
    for place in (item.target for item in placements):
        real, _ = look_up(build.roots(), posixpath.dirname(place))
        if build.is_reserved(posixpath.join(real, posixpath.basename(place))):
            raise refused(
                instruction.line,
                f"{place} belongs to this machine's system, which is read-only; use /usr/local, /opt, /srv, … instead.",
            )


def _below(path: str, folder: str) -> bool:
    return not folder or path.startswith(folder + "/")
