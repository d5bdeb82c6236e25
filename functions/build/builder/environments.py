"""Python environments: named by everything that went into them, made once by uv, then only ever read.

A hard-linked file is one file: whoever could write it in one environment would change it in uv's cache and in every
other environment. So foreign code never runs where it could write either:

    wheels only     no foreign code runs: uv, on the host, hard-links from the shared cache
    with a build    (a source distribution) uv runs in a sandbox; the environment is a copy, the cache an overlay
    byte-compiling  in a sandbox, without the packages on the path

uv asks the *base* environment's interpreter about itself: it holds nothing but what came with the interpreter.
"""

import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from functions.build.builder import uv
from functions.build.builder.diagnosis import diagnosed
from functions.build.builder.interpreter import Interpreter
from functions.build.builder.layers import Draft, discard, draft
from functions.build.builder.requirements import Request
from shared.errors import KaosError
from shared.images import ImageStore, digest_of
from shared.sandbox import Bind
from shared.skeleton import ENVIRONMENTS, PYTHON, SHIM

# Grows when environments are made differently.
_RECIPE = 1
# Where a sandboxed uv finds the requirements.
_FILES = "/.kaos/requirements"


def base(store: ImageStore, interpreter: Interpreter) -> str:
    """The key of the environment that an interpreter starts with: what its official image holds, less pip."""
    bundled = interpreter.path.parent.parent / "lib" / interpreter.path.name / "ensurepip" / "_bundled"
    wheels = sorted(bundled.glob("setuptools-*.whl"))
    names = [wheel.name for wheel in wheels]
    key = digest_of([_RECIPE, str(interpreter.path), interpreter.identity, platform.machine(), names])
    if not store.environment(key).exists():
        made = draft(store)
        try:
            _make_base(store, interpreter, made.root, wheels[-1:])
            _keep(store, made.root, key)
        finally:
            discard(made)
    return key


def install(
    store: ImageStore, interpreter: Interpreter, prior: str, request: Request, say: Callable[[str], None]
) -> str:
    """The key of `prior` with `request` installed into it; made where there is none yet.

    Raises Reject `build.requirement-unknown`, `build.run-failed` or `build.disk`, and Unreachable `build.network`.
    """
    asked = [request.requirements, request.constraints, request.options]
    key = digest_of([_RECIPE, prior, interpreter.identity, platform.machine(), asked])
    if store.environment(key).exists():
        say(f"Uses the Python environment {key[:12]}, made before\n")
        return key
    error = None if request.builds else _attempt(store, interpreter, prior, request, key, say=say, builds=False)
    if request.builds or (error is not None and error.code == "build.run-failed"):
        say("A requirement has no wheel for this Python: building it from source\n")
        error = _attempt(store, interpreter, prior, request, key, say=say, builds=True)
    if error is not None:
        raise error
    return key


def _attempt(
    store: ImageStore,
    interpreter: Interpreter,
    prior: str,
    request: Request,
    key: str,
    *,
    say: Callable[[str], None],
    builds: bool,
) -> KaosError | None:
    made = draft(store)
    try:
        subprocess.run(
            ["cp", "-a", "--reflink=auto" if builds else "--link", f"{store.environment(prior)}/.", made.root],
            check=True,
        )
        template = base(store, interpreter)
        run = _built if builds else _linked
        done = run(store, interpreter, made, template, _arguments(made.work, request))
        if done.returncode != 0:
            return diagnosed(done.stdout, request.requirements)
        say("".join(line for line in done.stdout.splitlines(True) if not line.startswith("Using ")))
        _point_scripts(made.root / "bin", template)
        _compile(store, interpreter, made.root)
        _keep(store, made.root, key)
        return None
    finally:
        discard(made)


def _arguments(files: Path, request: Request) -> list[str]:
    """Writes requirements and constraints into `files`, and returns the options that name them there."""
    arguments = list(request.options)
    for option, lines in (("--requirements", request.requirements), ("--constraints", request.constraints)):
        if lines:
            path = files / f"{option[2:]}.txt"
            path.write_text("\n".join(lines) + "\n")
            arguments += [option, str(path)]
    return arguments


def _linked(
    store: ImageStore, _interpreter: Interpreter, made: Draft, template: str, arguments: list[str]
) -> "subprocess.CompletedProcess[str]":
    python = store.environment(template) / "bin" / "python"
    target = ["--no-build", "--link-mode", "hardlink", "--python", str(python), "--prefix", str(made.root)]
    return uv.on_host(store, ["pip", "install", *target, *arguments])


def _built(
    store: ImageStore, interpreter: Interpreter, made: Draft, template: str, arguments: list[str]
) -> "subprocess.CompletedProcess[str]":
    target = ["--link-mode", "copy", "--python", f"{ENVIRONMENTS}/{template}/bin/python", "--prefix", PYTHON]
    arguments = [argument.replace(f"{made.work}/", f"{_FILES}/") for argument in arguments]
    binds = (
        Bind(uv.program(), uv.PROGRAM),
        Bind(store.environment(template), f"{ENVIRONMENTS}/{template}"),
        Bind(made.root, PYTHON, writable=True),
        Bind(made.work, _FILES),
    )
    return uv.in_sandbox(
        store, interpreter.path, [uv.PROGRAM, "pip", "install", *target, *arguments], binds, online=True
    )


def _make_base(store: ImageStore, interpreter: Interpreter, root: Path, wheels: list[Path]) -> None:
    commands = [
        ["venv", "--relocatable", "--no-project", "--allow-existing", "--python", str(interpreter.path), str(root)]
    ]
    if wheels:
        options = ["--offline", "--no-index", "--no-deps", "--python", str(root / "bin" / "python")]
        commands.append(["pip", "install", *options, str(wheels[0])])
    for arguments in commands:
        done = uv.on_host(store, arguments)
        if done.returncode != 0:
            raise diagnosed(done.stdout, ())
    site = root / "lib" / interpreter.path.name / "site-packages"
    # `python -m pip` finds the build's own pip; where there is none, in a job, the line means nothing.
    (site / "kaos.pth").write_text(f"{SHIM}/lib\n")


def _point_scripts(folder: Path, template: str) -> None:
    """Makes the programs that packages brought start this environment's Python, at its fixed path.

    uv made them start the base environment's, in one of two ways: directly, or by way of a shell.
    """
    python = rb"[^\n]*" + template.encode() + rb"/bin/python[0-9.]*"
    start = re.compile(rb"#!(?:/bin/sh\n'''exec' " + python + rb"' \"\$0\" \"\$@\"\n' '''|" + python + rb")\n")
    for script in folder.iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        match = start.match(content)
        if match:
            # A new file: the old one may be a hard link into the cache.
            mended = script.with_name(f".{script.name}")
            mended.write_bytes(f"#!{PYTHON}/bin/python\n".encode() + content[match.end() :])
            mended.chmod(0o755)
            mended.replace(script)


def _compile(store: ImageStore, interpreter: Interpreter, root: Path) -> None:
    """Byte-compiles, since a job can't keep what it compiles. Failures don't matter: some packages hold templates."""
    argv = [str(interpreter.path), "-I", "-S", "-m", "compileall", "-q", "-j", "0", "-x", r"/tests?/", f"{PYTHON}/lib"]
    uv.in_sandbox(store, interpreter.path, argv, (Bind(root, PYTHON, writable=True),), online=False)


def _keep(store: ImageStore, root: Path, key: str) -> None:
    """Gives an environment its name; of two builders, one wins and the other's is the same."""
    try:
        root.rename(store.environment(key))
    except OSError:
        if not store.environment(key).exists():
            raise
