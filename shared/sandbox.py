"""Runs a program in an image's root filesystem: overlay layers, the host's system, bubblewrap.

    setpriv --pdeathsig      dies with the engine
    └── unshare -mp          mount and pid namespaces of its own: with its first process all others and all mounts go
        └── sh               joins its cgroups
            └── mount        the image's layers over a skeleton of directories, writes going to `upper`
                └── bwrap    binds the host's system read-only over it, then pid, ipc, uts, net and user namespaces

All of them `exec` the next, but unshare, which waits: when it has ended, nothing of the tree is left. None of them sees
the program's environment, which an image decides: LD_PRELOAD would run its code out here. bubblewrap reads it from a
file in memory, so that it doesn't show in a process list either.

Run by root, the program has root's user id, and none of its rights. What the kernel lets that id do without any is
shut: all of /proc is read-only, since /proc/sys can make the kernel run programs outside; and see shared/seccomp.py.
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import IO

from shared import seccomp
from shared.etc import etc, is_copied
from shared.images import Image, ImageStore
from shared.skeleton import INPUTS, PYTHON, host, skeleton

# mount(8) hands overlayfs its options in one page of 4096 bytes, and a layer takes 38 of them.
MAX_LAYERS = 90

# $1 the store's layers, from where layers have short relative names; $2 the options; $3 where to mount.
_MOUNT = 'cd "$1" && unset OLDPWD && mount -n -i -t overlay overlay -o "$2" "$3" && shift 3 && exec "$@"'
_SEALED = ("--unshare-user", "--disable-userns", "--uid", "0", "--gid", "0", "--cap-drop", "ALL")
_NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
# What sh, and it alone, needs to find mount.
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_PROGRAMS = ("setpriv", "unshare", "sh", "mount", "bwrap")


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

    Both must be on one filesystem; `volatile` says that nobody will read `upper` after a crash, which spares every
    sync. `env` is the program's whole environment.
    """

    image: Image
    store: ImageStore
    upper: Path
    work: Path
    binds: tuple[Bind, ...] = ()
    env: dict[str, str] = field(default_factory=dict, repr=False)
    cwd: str = "/"
    network: bool = False
    hostname: str = "kaos"
    volatile: bool = False


def start(
    sandbox: Sandbox,
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    prefix: Sequence[str] = (),
    joins: Sequence[Path] = (),
    status: int | None = None,
) -> "subprocess.Popen[bytes]":
    """Starts `argv` in the sandbox, in a session of its own; it dies with the thread that started it.

    When the process that is returned has ended, nothing of the sandbox is left. `prefix` is a program that limits
    itself and then becomes the rest. The sandbox joins cgroups before it is made, by writing 0, which means itself, to
    the files `joins`. To the descriptor `status` bubblewrap writes JSON in pieces, with an `exit-code` unless `argv`
    never ran.

    Raises ValueError where a word or a variable holds a NUL character.
    """
    with ExitStack() as files:
        arguments = b"".join(os.fsencode(word) + b"\0" for word in _environment(sandbox.env))
        options = ["--args", _in_memory(files, arguments)]
        if refused := seccomp.program():
            options += ["--seccomp", _in_memory(files, refused)]
        if status is not None:
            options += ["--json-status-fd", str(status)]
        return subprocess.Popen(
            [*prefix, *_command(sandbox, argv, joins, options)],
            env=_PATH,
            cwd="/",
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[int(number) for number in options[1::2]],
            start_new_session=True,
        )


def _in_memory(files: ExitStack, content: bytes) -> str:
    """The descriptor of a file that has no name."""
    file = files.enter_context(os.fdopen(os.memfd_create("sandbox"), "wb"))
    file.write(content)
    file.seek(0)
    return str(file.fileno())


def _environment(env: dict[str, str]) -> Iterator[str]:
    yield "--clearenv"
    for name, value in env.items():
        if "\0" in name + value:
            # bubblewrap would read what follows as an option.
            raise ValueError(f"the environment variable {name!r} holds a NUL character")
        yield from ("--setenv", name, value)


def _command(sandbox: Sandbox, argv: Sequence[str], joins: Sequence[Path], options: list[str]) -> list[str]:
    store = sandbox.store.root
    root = os.geteuid() == 0
    joining = "".join(f"echo 0 > {shlex.quote(str(file))} && " for file in joins)
    mount = (str(store / "layers"), _overlay(sandbox, root=root), str(store / "mount"))
    bwrap = _bwrap(sandbox, store / "mount", options)
    return [*_namespaces(root=root), _program("sh"), "-c", joining + _MOUNT, "sh", *mount, *bwrap, "--", *argv]


def _namespaces(*, root: bool) -> tuple[str, ...]:
    """Of the kernel's ways to say `with its parent`, this holds from the start; bubblewrap's own begins later."""
    unshare = ("-mp" if root else "-Urmp", "--fork", "--kill-child=KILL")
    return (_program("setpriv"), "--pdeathsig", "KILL", "--", _program("unshare"), *unshare)


def _overlay(sandbox: Sandbox, *, root: bool) -> str:
    lowest = _lowest(sandbox.store.root, Path(sandbox.image.python), int(time.monotonic()))
    layers = [f"{layer}/root" for layer in reversed(sandbox.image.layers)]
    return ",".join(
        (
            f"lowerdir={':'.join((*layers, *lowest))}",
            f"upperdir={_option(sandbox.upper)}",
            f"workdir={_option(sandbox.work)}",
            # Without root, overlayfs keeps its marks in attributes that a user namespace may set.
            *(() if root else ("userxattr",)),
            *(("volatile",) if sandbox.volatile else ()),
        )
    )


@lru_cache(maxsize=16)
def _lowest(store: Path, python: Path, _second: int) -> tuple[str, ...]:
    """The layers below those of every image. Whether the host's settings have changed is asked once a second.

    It takes a millisecond, and a grid starts a hundred sandboxes in that time.
    """
    settings = etc(store, (*host(python).directories, *host(python).files))
    return f"../skeletons/{settings.name}", f"../skeletons/{skeleton(store, python).name}"


@cache
def _program(name: str) -> str:
    """Where a program of this chain is, by the PATH of whoever runs sandboxes, never by an image's."""
    return shutil.which(name) or name


def available(directory: Path | None = None) -> str | None:
    """None where sandboxes work on this machine, else the reason they don't, as sentences.

    `directory` (default: one in memory) is where `upper` would lie: not every file system lets overlayfs write.
    """
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt-get install bubblewrap util-linux)."
    with tempfile.TemporaryDirectory(prefix="sandbox-", dir=directory) as tried:
        root = os.geteuid() == 0
        memory = "" if directory else "mount -t tmpfs none . && cd . && "
        options = f"lowerdir=lower,upperdir=upper,workdir=work{'' if root else ',userxattr'}"
        mount = f"{memory}mkdir lower upper work merged && mount -t overlay overlay -o {options} merged"
        bwrap = " ".join(("exec bwrap", *_SEALED, *_NAMESPACES, "--ro-bind / / true"))
        done = subprocess.run(
            [*_namespaces(root=root), "sh", "-c", f"{mount} && {bwrap}"],
            cwd=tried,
            capture_output=True,
            text=True,
            check=False,
        )
        inner = Path(tried, "work", "work")
        if inner.exists():
            inner.chmod(0o700)
    if done.returncode == 0:
        return None
    return f"This machine doesn't let kaos make a sandbox: {done.stderr.strip() or done.returncode}."


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


def _bwrap(sandbox: Sandbox, root: Path, options: list[str]) -> Iterator[str]:
    yield from (_program("bwrap"), *options, "--die-with-parent", "--new-session", *_SEALED, *_NAMESPACES)
    yield from ("--hostname", sandbox.hostname)
    if not sandbox.network:
        yield "--unshare-net"
    yield from ("--bind", str(root), "/")
    seen = host(Path(sandbox.image.python))
    for path in (*seen.directories, *seen.files):
        if not is_copied(path, network=sandbox.network):
            yield from ("--ro-bind", path, path)
    yield from ("--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--tmpfs", INPUTS)
    if sandbox.image.environment is not None:
        yield from ("--ro-bind", str(sandbox.store.environment(sandbox.image.environment)), PYTHON)
    for bind in sandbox.binds:
        option = "--dev-bind" if bind.device else "--bind" if bind.writable else "--ro-bind"
        yield from (option, str(bind.source), bind.target)
    if any(bind.target.startswith(f"{INPUTS}/") for bind in sandbox.binds):
        yield from ("--remount-ro", INPUTS)
    yield from ("--chdir", sandbox.cwd)


def _option(path: Path) -> str:
    """A path as a value among overlayfs's comma-separated options."""
    return re.sub(r"([\\,:])", r"\\\1", str(path.absolute()))
