"""Finds the bundle in what the build job is given: `Dockerfile` and `model/`, perhaps below one or two folders."""

import re
from dataclasses import dataclass
from pathlib import Path

from shared.errors import Reject

# The job's input directory, the bundle's own (`<name>:<hash7>`), and the one root folder that users archive.
_MAX_FOLDERS = 3
# What file browsers leave in archives.
_LITTER = ("__MACOSX",)


@dataclass(frozen=True)
class Bundle:
    """A source bundle. `id` is its folder's name, `<name>:<hash7>` in a job; `name` is fit to name an image."""

    id: str
    name: str
    dockerfile: Path
    context: Path


def locate(source: Path) -> Bundle:
    """The bundle at or below `source`. Raises Reject `build.…` naming what is missing."""
    root, identity = source, source.absolute().name
    for depth in range(_MAX_FOLDERS):
        if (root / "Dockerfile").exists() or (root / "model").exists():
            break
        root = _only_folder(root)
        identity = identity if depth else root.name
    return _checked(root, identity)


def _only_folder(root: Path) -> Path:
    entries = sorted(entry for entry in root.iterdir() if entry.name[0] != "." and entry.name not in _LITTER)
    folders = [entry for entry in entries if entry.is_dir()]
    if not entries:
        raise Reject("build.bundle-empty", "The source bundle is empty: it needs a Dockerfile and a folder model/.")
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders[:5])
        raise Reject(
            "build.several-roots",
            f"The source bundle has several root folders ({names}) and no Dockerfile beside them: deploy one of them.",
        )
    if len(entries) > 1 or not folders:
        raise Reject(
            "build.bundle-malformed",
            f"The source bundle has no root folder with a Dockerfile and model/; it holds {entries[0].name}.",
        )
    return folders[0]


def _checked(root: Path, identity: str) -> Bundle:
    context = root / "model"
    wanted = (
        ("build.no-dockerfile", root / "Dockerfile", "a Dockerfile beside the folder model/"),
        ("build.no-model", context, "a folder model/ beside the Dockerfile"),
        ("build.no-requirements", context / "requirements.txt", "the file model/requirements.txt (it may be empty)"),
        ("build.no-train", context / "train", "the script model/train"),
    )
    for code, path, description in wanted:
        if not (path.is_dir() if path == context else path.is_file()):
            raise Reject(code, f"The source bundle has no {path.name}: it needs {description}.")
    name = re.sub(r"[^a-z0-9._-]+", "-", identity.partition(":")[0].lower()).strip("-._") or "source"
    return Bundle(identity, name, root / "Dockerfile", context)
