"""Runs uv: on the host where nothing foreign runs, confined where a package's own build may run what it likes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from functions.build.builder.layers import discard, draft
from functions.build.builder.toolchain import Toolchain
from shared.images import Image, ImageStore
from shared.sandbox import Bind, Sandbox, start

# Where uv itself appears in a sandbox, and its cache.
PROGRAM = "/.kaos/uv"
CACHE = "/var/cache/uv"
# The cache lies in the store as a layer would: so a sandbox has it as an overlay, and what it writes there is lost.
CACHE_LAYER = "uv"
# What a build may know of the network.
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_INDEX = (
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_OFFLINE",
)
_ALWAYS = {"UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}
_SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


def program() -> Path:
    """The uv that was installed with kaos."""
    beside = Path(sys.executable).parent / "uv"
    if beside.exists():
        return beside
    from uv import find_uv_bin  # noqa: PLC0415 - only where uv is not beside the interpreter

    return Path(find_uv_bin())


def network(*, trusted: bool) -> dict[str, str]:
    """The variables that say how to reach the network; the credentials among them only for uv on the host."""
    names = {*_NETWORK, *(name.lower() for name in _NETWORK), *_INDEX}
    found = {name: value for name, value in os.environ.items() if name in names}
    if trusted:
        return {**found, **{name: value for name, value in os.environ.items() if name.startswith("UV_INDEX_")}}
    return {name: value for name, value in found.items() if "@" not in value}


def on_host(tools: Toolchain, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    """Runs uv with the shared cache; its output is one text."""
    guard = _reader_of_all(tools) if tools.sandboxed else ()
    return _checked(tools, _run([*guard, str(program()), *arguments], _with_cache(tools.store)))


def forget(store: ImageStore, packages: list[str]) -> None:
    """Removes packages from the cache, by their names. Raises OSError where uv can't."""
    done = _run([str(program()), "cache", "clean", "--", *packages], _with_cache(store))
    if done.returncode != 0:
        raise OSError(f"uv cache clean: {done.stdout.strip()[-200:]}")


def confined(
    tools: Toolchain, argv: list[str], binds: tuple[Bind, ...], *, online: bool
) -> "subprocess.CompletedProcess[str]":
    """Runs a program where it can write only what is bound writable; online, it sees uv's cache.

    Without a sandbox it runs with the rights of the builder, and is told the sources of binds for their targets.
    """
    if not tools.sandboxed:
        return _run([_on_this_machine(word, binds) for word in argv], _with_cache(tools.store))
    store = tools.store
    made = draft(store)
    try:
        layers = (CACHE_LAYER,) if online else ()
        env = network(trusted=False) if online else {}
        packages = Path(env.get("UV_FIND_LINKS", ""))
        if packages.is_absolute() and packages.is_dir():
            binds = (*binds, Bind(packages, str(packages)))
        image = Image.sealed(layers=layers, environment=None, python=str(tools.python), env={})
        env = {"PATH": _SYSTEM_PATH, "HOME": "/root", "UV_CACHE_DIR": CACHE, **env, **_ALWAYS}
        sandbox = Sandbox(image, store, made.root, made.work, binds=binds, env=env, network=online)
        process = start(sandbox, argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate()
        return _checked(tools, subprocess.CompletedProcess(argv, process.returncode, said.decode(errors="replace")))
    finally:
        discard(made)


def cache_of(store: ImageStore) -> Path:
    """The cache's directory."""
    return store.layer(CACHE_LAYER) / CACHE.lstrip("/")


def _with_cache(store: ImageStore) -> dict[str, str]:
    cache = cache_of(store)
    cache.mkdir(parents=True, exist_ok=True)
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.expanduser raises where there is no home
    variables = {"PATH": _SYSTEM_PATH, "HOME": home, "UV_CACHE_DIR": str(cache), "TMPDIR": str(cache)}
    return {**variables, **network(trusted=True)}


def _on_this_machine(word: str, binds: tuple[Bind, ...]) -> str:
    for bind in binds:
        if re.match(rf"{re.escape(bind.target)}(?:/|$)", word):
            return str(bind.source) + word.removeprefix(bind.target)
    return word


def _checked(tools: Toolchain, done: "subprocess.CompletedProcess[str]") -> "subprocess.CompletedProcess[str]":
    if done.returncode != 0:
        tools.check_sandbox()
    return done


def _reader_of_all(tools: Toolchain) -> list[str]:
    """Nothing outside the store's cache and drafts can be written: a wheel may hold any path, and links.

    The store is bound as one mount, since no hard link leads from one mount to another.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        tools.check_sandbox()
    root = str(tools.store.root)
    finished = [(f"{root}/{name}", f"{root}/{name}") for name in ("environments", "images", "skeletons")]
    return [
        *(
            bwrap or "bwrap",
            "--die-with-parent",
            "--unshare-pid",
            "--unshare-ipc",
            "--new-session",
            "--ro-bind",
            "/",
            "/",
        ),
        *("--dev", "/dev", "--proc", "/proc", "--bind", root, root),
        *(word for source, target in finished for word in ("--ro-bind", source, target)),
        "--",
    ]


def _run(argv: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv,
        env={**env, **_ALWAYS},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
