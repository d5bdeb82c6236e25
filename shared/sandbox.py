"""The command line that runs a program in an image's root filesystem: overlay layers, the host's system, bubblewrap.

    unshare -m               a mount namespace of its own: whatever happens, its mounts vanish with it
    └── mount -t overlay     the image's layers over a skeleton of directories, writes going to `upper`
        └── bwrap            binds the host's system read-only over it, then pid, ipc, uts, net and user namespaces

All of them `exec` the next, so there is one process to signal, and killing it kills everything inside.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.images import Image, ImageStore
from shared.skeleton import INPUTS, PYTHON, host, skeleton

# mount(8) hands overlayfs its options in one page of 4096 bytes, and a layer takes 38 of them.
MAX_LAYERS = 90

# $1 the store's layers, from where layers have short relative names; $2 the options; $3 where to mount.
_MOUNT = 'cd "$1" && unset OLDPWD && mount -t overlay overlay -o "$2" "$3" && shift 3 && exec "$@"'
_SEALED = ("--unshare-user", "--disable-userns", "--uid", "0", "--gid", "0", "--cap-drop", "ALL")
_NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")


@dataclass(frozen=True)
class Bind:
    """A file or directory of the host, shown at `target`; `device` allows the device files in it to be opened."""

    source: Path
    target: str
    writable: bool = False
    device: bool = False


@dataclass(frozen=True)
class Sandbox:
    """What a program in an image sees. `upper` keeps what it writes; `work` is overlayfs's own, empty, beside it.

    Both must be on one filesystem. `env` is what the program is to find in its environment: whoever runs `command()`
    passes it as the environment of that process, so that nothing of it shows in a process list.
    """

    image: Image
    store: ImageStore
    upper: Path
    work: Path
    binds: tuple[Bind, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    network: bool = False
    hostname: str = "kaos"


def command(sandbox: Sandbox, argv: Sequence[str]) -> list[str]:
    """The whole command line that runs `argv` in the sandbox, with the environment of whoever runs it.

    Makes the skeleton of directories in the store where it is not there yet.
    """
    base = skeleton(sandbox.store.root, Path(sandbox.image.python))
    layers = [f"{layer}/root" for layer in reversed(sandbox.image.layers)]
    options = ",".join(
        (
            f"lowerdir={':'.join([*layers, f'../skeletons/{base.name}'])}",
            f"upperdir={_option(sandbox.upper)}",
            f"workdir={_option(sandbox.work)}",
            # Without root, overlayfs keeps its marks in attributes that a user namespace may set.
            *(() if os.geteuid() == 0 else ("userxattr",)),
        )
    )
    store = sandbox.store.root
    unshare = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")
    mount = ("sh", "-c", _MOUNT, "sh", str(store / "layers"), options, str(store / "mount"))
    return [*unshare, *mount, *_bwrap(sandbox, store / "mount"), "--", *argv]


def available() -> str | None:
    """None where sandboxes work on this machine, else the reason they don't, as a sentence."""
    for program in ("bwrap", "unshare", "mount"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt-get install bubblewrap util-linux)."
    mount = (
        "mount -t tmpfs none /mnt && cd /mnt && mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w"
    )
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    bwrap = " ".join(("exec bwrap", *_SEALED, *_NAMESPACES, "--ro-bind / / true"))
    tried = subprocess.run([*unshare, "sh", "-c", f"{mount} m && {bwrap}"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return None
    return f"This machine doesn't let kaos make a sandbox: {tried.stderr.strip() or tried.returncode}."


def planted_link(root: Path, python: Path) -> str | None:
    """The path of a link in a layer that would lead a later mount elsewhere, perhaps out of the sandbox; else None.

    bubblewrap follows links when it makes the places it mounts at. A build can't replace a mounted directory,
    but it may replace one of its parents.
    """
    for target in host(python).mountpoints():
        path = root
        for part in Path(target).parts[1:]:
            path = path / part
            if path.is_symlink():
                return "/" + str(path.relative_to(root))
    return None


def _bwrap(sandbox: Sandbox, root: Path) -> Iterator[str]:
    yield from ("bwrap", "--die-with-parent", "--new-session", *_SEALED, *_NAMESPACES, "--hostname", sandbox.hostname)
    if not sandbox.network:
        yield "--unshare-net"
    yield from ("--bind", str(root), "/")
    seen = host(Path(sandbox.image.python))
    for path in (*seen.directories, *seen.files):
        yield from ("--ro-bind", path, path)
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", INPUTS)
    if sandbox.image.environment is not None:
        yield from ("--ro-bind", str(sandbox.store.environment(sandbox.image.environment)), PYTHON)
    for bind in sandbox.binds:
        option = "--dev-bind" if bind.device else "--bind" if bind.writable else "--ro-bind"
        yield from (option, str(bind.source), bind.target)
    yield from ("--chdir", sandbox.cwd)


def _option(path: Path) -> str:
    """A path as a value among overlayfs's comma-separated options."""
    return re.sub(r"([\\,:])", r"\\\1", str(path.absolute()))
