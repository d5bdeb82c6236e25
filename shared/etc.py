"""The host's settings as sandboxes see them: copies in a layer, since every mount takes 0.2 ms of each start."""

import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from shared.images import digest_of, keep

_ETC = "/etc/"
# What a program that uses the network must see as it is now. These two are mounted for it.
LIVE = ("/etc/resolv.conf", "/etc/hosts")


def is_copied(path: str, *, network: bool) -> bool:
    """Whether a path of the host is in the layer, so that nothing need be mounted there."""
    return path.startswith(_ETC) and not (network and path in LIVE)


def etc(store: Path, paths: Sequence[str]) -> Path:
    """The layer with copies of those of the paths that lie in /etc; made anew whenever one of them has changed."""
    copied = [path for path in paths if path.startswith(_ETC) and Path(path).exists()]
    layer = store / "skeletons" / f"etc-{digest_of([list(_stamps(path)) for path in copied])[:16]}"
    if not layer.exists():
        draft = store / "scratch" / f"etc-{uuid.uuid4().hex}"
        for path in copied:
            _copy(Path(path), draft / path.lstrip("/"))
        if not keep(draft, layer):
            shutil.rmtree(draft)
    return layer


def _stamps(path: str) -> Iterator[tuple[str, int, int]]:
    """What changes with a file; of a directory, with the entries of it and of those in it."""
    known = Path(path).stat()
    yield path, known.st_mtime_ns, known.st_size
    if stat.S_ISDIR(known.st_mode):
        with os.scandir(path) as entries:
            # The kind of an entry comes with its name: there may be hundreds of certificates.
            folders = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        for folder in folders:
            yield folder, Path(folder).stat().st_mtime_ns, 0


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # What this user may not read, programs in a sandbox may not either.
    with suppress(shutil.Error, PermissionError):
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True)
        else:
            shutil.copy2(path, target)
