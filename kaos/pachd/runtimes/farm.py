"""An image's filesystem as a plain directory tree, for machines that can't stack its layers by a mount."""

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# How overlayfs marks a directory that hides what lower layers have there; the second without root.
_OPAQUE: Final = ("trusted.overlay.opaque", "user.overlay.opaque")


def merge(layers: Iterable[Path], root: Path) -> None:
    """Copies the layers, lowest first, into `root`.

    Copies and not links: a script that writes into its own directory would change the image of all later jobs.
    """
    for layer in layers:
        _merge(layer, root)


def _merge(layer: Path, root: Path) -> None:
    with os.scandir(layer) as found:
        entries = list(found)
    for entry in entries:
        target, mode = root / entry.name, entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if target.is_symlink() or not target.is_dir() or _opaque(entry.path):
                _clear(target)
                target.mkdir()
            _merge(Path(entry.path), target)
            target.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
        else:
            _clear(target)
            # A character device is a whiteout: what lower layers have there is deleted.
            if not stat.S_ISCHR(mode):
                shutil.copy2(entry.path, target, follow_symlinks=False)


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _opaque(path: str) -> bool:
    if sys.platform != "linux":
        return False
    for name in _OPAQUE:
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"y":
                return True
    return False


def link(source: Path, target: Path) -> None:
    """Shows a file or directory at `target`: directories anew, files by hard links, or symbolic ones across disks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_file)
    else:
        _link_file(str(source), str(target))


def _link_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        Path(target).symlink_to(Path(source).absolute())
