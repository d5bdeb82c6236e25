"""What an image's layers show at a path, without mounting them: later layers first, links followed inside."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from shared.errors import Reject

Kind = Literal["directory", "other", "nothing"]
# As many as the kernel follows.
_MAX_LINKS = 40


def look_up(roots: Sequence[Path], path: str) -> tuple[str, Kind]:
    """Where an absolute path really leads, and what is there. `roots` stand highest first, the skeleton last.

    Of a path that isn't there, the part that is has its links followed. Raises Reject `build.dockerfile` on a circle.
    """
    for _ in range(_MAX_LINKS):
        real, kind, link = _step(roots, path)
        if link is None:
            return real, kind
        path = link
    raise Reject("build.dockerfile", f"The path {path[:120]!r} in the image is a circle of links.")


def seen(roots: Sequence[Path], path: str) -> Path | None:
    """The file or link of a layer that an image shows at an absolute path, links on the way followed; None: nothing.

    Raises Reject `build.dockerfile` on a circle.
    """
    real, kind = look_up(roots, path)
    if kind == "nothing":
        return None
    return next((place for root in roots if os.path.lexists(place := root / real.lstrip("/"))), None)


def _step(roots: Sequence[Path], path: str) -> tuple[str, Kind, str | None]:
    """One pass from the root: the path up to its end, or up to a link and where that leads."""
    shown = list(roots)
    parts = [part for part in os.path.normpath(path).split("/") if part]
    for index, part in enumerate(parts):
        shown, found = _child(shown, part)
        if found is not None and stat.S_ISLNK(found.lstat().st_mode):
            folder = "/" + "/".join(parts[:index])
            return "", "other", os.path.normpath(Path(folder, found.readlink(), *parts[index + 1 :]))
        if not shown:
            last = found is not None and index == len(parts) - 1
            return "/" + "/".join(parts), "other" if last else "nothing", None
    return "/" + "/".join(parts), "directory", None


def _child(folders: list[Path], name: str) -> tuple[list[Path], Path | None]:
    """The folders that make up a child of a merged folder; or the file or link that it is."""
    shown: list[Path] = []
    for folder in folders:
        path = folder / name
        try:
            mode = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(mode.st_mode):
            shown.append(path)
            if _hides_lower(path):
                break
        elif shown or (stat.S_ISCHR(mode.st_mode) and mode.st_rdev == 0):
            break
        else:
            return [], path
    return shown, None


def _hides_lower(folder: Path) -> bool:
    for space in ("trusted", "user"):
        try:
            if os.getxattr(folder, f"{space}.overlay.opaque") == b"y":
                return True
        except OSError:
            continue
    return False
