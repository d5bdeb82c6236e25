"""The layer cache: a layer is named by the key of all that it was made from, made once, and never changed."""

import json
import os
import shutil
import stat
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.disk import is_renewed
from shared.errors import Reject
from shared.images import ImageStore, keep
from shared.sandbox import planted_link

# Hex digits of a layer's name: 128 bits, and short enough for overlayfs's options (see shared.sandbox.MAX_LAYERS).
ID_DIGITS = 32
_RESERVED = "/pfs"
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Layer:
    """What is known of a layer: the environment that its instruction left, whether it holds any file, its cost."""

    id: str
    environment: str
    empty: bool
    seconds: float


@dataclass(frozen=True)
class Draft:
    """A layer in the making, on the filesystem of the store: `root` fills up; `work` is overlayfs's own."""

    directory: Path

    @property
    def root(self) -> Path:
        """The directory tree that becomes the layer."""
        return self.directory / "layer" / "root"

    @property
    def work(self) -> Path:
        """An empty directory beside it."""
        return self.directory / "work"


def known(store: ImageStore, layer: str) -> Layer | None:
    """The layer made earlier from the same key, which is used now."""
    folder = store.layer(layer).parent
    return read(folder) if is_renewed(folder) else None


def read(folder: Path) -> Layer:
    """What is known of the layer in this directory of a store."""
    return Layer(**json.loads((folder / "layer.json").read_text()))


def draft(store: ImageStore) -> Draft:
    """An empty layer; whoever asks for one discards it."""
    made = Draft(store.root / "scratch" / f"build-{uuid.uuid4().hex}")
    made.root.mkdir(parents=True)
    made.work.mkdir()
    return made


def commit(store: ImageStore, made: Draft, layer: Layer, python: Path) -> Layer:
    """Keeps a draft under the layer's name; of two builders, one wins. Returns what the store then holds.

    Raises Reject `build.policy` where the layer would lead mounts of later containers astray.
    """
    _secure(made.root, python)
    layer = Layer(layer.id, layer.environment, not any(made.root.iterdir()), layer.seconds)
    (made.root.parent / "layer.json").write_text(json.dumps(asdict(layer)))
    folder = store.layer(layer.id).parent
    return layer if keep(made.root.parent, folder) else read(folder)


def sweep(store: ImageStore, now: float) -> None:
    """Removes drafts of builders that were killed: no build takes a day."""
    for left in (store.root / "scratch").glob("build-*"):
        if left.stat().st_mtime < now - _ABANDONED_SECONDS:
            discard(Draft(left))


def discard(made: Draft) -> None:
    """Removes what is left of a draft. Overlayfs leaves a directory without permissions in its own."""
    inner = made.work / "work"
    if inner.exists():
        inner.chmod(0o700)
    shutil.rmtree(made.directory, ignore_errors=True)


def _secure(root: Path, python: Path) -> None:
    link = planted_link(root, python)
    if link:
        raise Reject(
            "build.policy", f"The build replaced {link}, a place of the system, by a link; that is not allowed."
        )
    shutil.rmtree(root / _RESERVED.lstrip("/"), ignore_errors=True)
    for folder, _, files in os.walk(root):
        for name in files:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))
