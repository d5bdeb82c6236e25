"""Takes out of the store what no image needs and no build has used for long: layers, environments, packages."""

import os
import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from functions.build.builder import layers, uv
from shared.disk import is_renewed
from shared.images import ImageStore

# What uv may be told: a directory of a hostile package may have any name.
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.]*)-[^-]+\.dist-info")


@dataclass(frozen=True)
class Collected:
    """How many of each were removed."""

    images: int
    layers: int
    environments: int
    packages: int


def collect(store: ImageStore, named: Collection[str], older_than: float) -> Collected | None:
    """Removes what is not needed by the images `named` (by digest) and was last used before `older_than`.

    Time is in seconds since the epoch. What is named counts as used now. None while somebody builds: then nothing was
    taken out. Whoever collects must name every image that a job may start from: it may be running.
    """
    with store.sweeping() as alone:
        done = _take_out(store, named, older_than) if alone else None
    for path in store.left():
        _remove(path)
    return done


def _take_out(store: ImageStore, named: Collection[str], older_than: float) -> Collected:
    """Images before layers before environments: who is killed in between leaves nothing that lacks a part of it."""
    images = dict(store.every())
    files = {path for path, image in images.items() if image.digest in named}
    unused = _unneeded(images, files, older_than)
    kept = [image for path, image in images.items() if path not in unused]
    folders = [path for path in (store.root / "layers").iterdir() if path.name != uv.CACHE_LAYER]
    stale = _unneeded(folders, {store.layer(layer).parent for image in kept for layer in image.layers}, older_than)
    going_on = [layers.read(folder).environment for folder in folders if folder not in stale]
    started = [image.environment for image in kept if image.environment]
    environments = {store.environment(key) for key in (*going_on, *started)}
    outdated = _unneeded((store.root / "environments").iterdir(), environments, older_than)
    for path in (*unused, *stale, *outdated):
        store.take_out(path)
    packages = _unused_packages(store, older_than)
    if packages:
        uv.forget(store, packages)
    return Collected(len(unused), len(stale), len(outdated), len(packages))


def _unneeded(found: Iterable[Path], needed: Collection[Path], older_than: float) -> set[Path]:
    """Those of the paths found that are neither needed, which makes them young, nor young."""
    return {path for path in found if not (path in needed and is_renewed(path)) and path.stat().st_mtime < older_than}


def _unused_packages(store: ImageStore, older_than: float) -> list[str]:
    """Packages in uv's cache that no environment has a link to, and none had since `older_than`.

    The last link that goes changes the time of the file's status. A package is kept while one version of it is used:
    uv forgets all of them or none.
    """
    unused: dict[str, bool] = {}
    for metadata in uv.cache_of(store).glob("archive-*/*/*.dist-info/METADATA"):
        match = _PACKAGE.fullmatch(metadata.parent.name)
        if match:
            status = metadata.lstat()
            is_unused = status.st_nlink == 1 and status.st_ctime < older_than
            unused[match[1]] = is_unused and unused.get(match[1], True)
    return sorted(name for name, is_unused in unused.items() if is_unused)


def _remove(path: Path) -> None:
    """Removes what was taken out; what can't be removed now is tried again the next time."""
    if not path.is_dir():
        path.unlink()
        return
    # A build may have closed directories to itself. Links are not followed, nor files touched: uv's cache has them too.
    for folder, names, _ in os.walk(path):
        for inner in (Path(folder, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
