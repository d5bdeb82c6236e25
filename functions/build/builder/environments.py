"""Python environments: named by everything that went into them, made once by uv, then only ever read.

A hard-linked file is one file: whoever could write it in one environment would change it in uv's cache and in every
other environment. So foreign code never runs where it could write either:

    wheels only     no foreign code runs: uv, on the host, hard-links from the shared cache
    with a build    (a source distribution) uv runs confined; the environment is a copy, the cache an overlay
    byte-compiling  confined, without the packages on the path

uv asks the *base* environment's interpreter about itself: it holds nothing but what came with the interpreter.
"""

import glob
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from functions.build.builder import uv
from functions.build.builder.diagnosis import diagnosed, lacks_wheel
from functions.build.builder.layers import Draft, discard, draft
from functions.build.builder.requirements import Request
from functions.build.builder.toolchain import Toolchain
from shared.disk import is_renewed
from shared.images import digest_of, keep
from shared.sandbox import Bind
from shared.skeleton import ENVIRONMENTS, PYTHON, SHIM

# Grows when environments are made differently.
_RECIPE = 2
# Where a confined uv finds the requirements.
_FILES = "/.kaos/requirements"
# How a program of an environment starts, in sh and in Python alike: by the Python beside it, wherever it is shown.
_START = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""


def base(tools: Toolchain) -> str:
    """The key of the environment that an interpreter starts with: what its official image holds, less pip.

    Raises Reject `build.run-failed` or `build.disk`.
    """
    bundled = tools.python.parent.parent / "lib" / tools.python.name / "ensurepip" / "_bundled"
    wheels = sorted(bundled.glob("setuptools-*.whl"))
    names = [wheel.name for wheel in wheels]
    key = digest_of([_RECIPE, str(tools.python), tools.interpreter.identity, platform.machine(), names])
    if not is_renewed(tools.store.environment(key)):
        made = draft(tools.store)
        try:
            _make_base(tools, made.root, wheels[-1:])
            keep(made.root, tools.store.environment(key))
        finally:
            discard(made)
    return key


def install(tools: Toolchain, prior: str, request: Request, say: Callable[[str], None]) -> str:
    """The key of `prior` with `request` installed into it; made where there is none yet.

    Raises Reject `build.requirement-…`, `build.run-failed` or `build.disk`, and Unreachable `build.network`.
    """
    asked = [request.requirements, request.constraints, request.options]
    key = digest_of([_RECIPE, prior, tools.interpreter.identity, platform.machine(), asked])
    if is_renewed(tools.store.environment(key)):
        say(f"Uses the Python environment {key[:12]}, made before\n")
        return key
    done = None if request.builds else _attempt(tools, prior, request, key, builds=False)
    if done is None or (done.returncode != 0 and lacks_wheel(done.stdout)):
        say("A requirement has no wheel for this Python: building it from source\n")
        done = _attempt(tools, prior, request, key, builds=True)
    say("".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("Using ")))
    if done.returncode != 0:
        raise diagnosed(done.stdout, request.requirements)
    return key


def _attempt(
    tools: Toolchain, prior: str, request: Request, key: str, *, builds: bool
) -> "subprocess.CompletedProcess[str]":
    made = draft(tools.store)
    try:
        copy = shutil.copy2 if builds else os.link
        shutil.copytree(
            tools.store.environment(prior), made.root, symlinks=True, dirs_exist_ok=True, copy_function=copy
        )
        template = base(tools)
        run = _built if builds else _linked
        done = run(tools, made, template, _arguments(made.work, request))
        if done.returncode == 0:
            _point_scripts(made.root / "bin", template)
            _drop_stale(made.root, tools.store.environment(prior))
            _compile(tools, made.root)
            os.utime(made.root)  # the one that it was copied from may be old
            keep(made.root, tools.store.environment(key))
        return done
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


def _linked(tools: Toolchain, made: Draft, template: str, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    python = tools.store.environment(template) / "bin" / "python"
    target = ["--no-build", "--link-mode", "hardlink", "--python", str(python), "--prefix", str(made.root)]
    return uv.on_host(tools, ["pip", "install", *target, *arguments])


def _built(tools: Toolchain, made: Draft, template: str, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    target = ["--link-mode", "copy", "--python", f"{ENVIRONMENTS}/{template}/bin/python", "--prefix", PYTHON]
    arguments = [argument.replace(f"{made.work}/", f"{_FILES}/") for argument in arguments]
    binds = (
        Bind(uv.program(), uv.PROGRAM),
        Bind(tools.store.environment(template), f"{ENVIRONMENTS}/{template}"),
        Bind(made.root, PYTHON, writable=True),
        Bind(made.work, _FILES),
    )
    return uv.confined(tools, [uv.PROGRAM, "pip", "install", *target, *arguments], binds, online=True)


def _make_base(tools: Toolchain, root: Path, wheels: list[Path]) -> None:
    commands = [["venv", "--relocatable", "--no-project", "--allow-existing", "--python", str(tools.python), str(root)]]
    if wheels:
        options = ["--offline", "--no-index", "--no-deps", "--python", str(root / "bin" / "python")]
        commands.append(["pip", "install", *options, str(wheels[0])])
    for arguments in commands:
        done = uv.on_host(tools, arguments)
        if done.returncode != 0:
            raise diagnosed(done.stdout, ())
    site = root / "lib" / tools.python.name / "site-packages"
    # `python -m pip` finds the build's own pip; where there is none, in a job, the line means nothing.
    (site / "kaos.pth").write_text(f"{SHIM}/lib\n")


def _point_scripts(folder: Path, template: str) -> None:
    """Makes the programs that packages brought start the Python beside them.

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
            mended.write_bytes(_START + content[match.end() :])
            mended.chmod(0o755)
            mended.replace(script)


def _drop_stale(root: Path, prior: Path) -> None:
    """Removes what was compiled of files that the installation has replaced.

    Python takes it for valid where the file's time, in whole seconds, and size are the same: as with two versions of a
    package that were unpacked at once and differ in a digit.
    """
    for path in root.glob("lib/**/*.py"):
        if _stamp(path) != _stamp(prior / path.relative_to(root)):
            for compiled in path.parent.glob(f"__pycache__/{glob.escape(path.stem)}.*.pyc"):
                compiled.unlink()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_size, seen.st_mtime_ns


def _compile(tools: Toolchain, root: Path) -> None:
    """Byte-compiles, since a job can't keep what it compiles. Failures don't matter: some packages hold templates."""
    argv = [str(tools.python), "-I", "-S", "-m", "compileall", "-q", "-j", "0", "-x", r"/tests?/", f"{PYTHON}/lib"]
    uv.confined(tools, argv, (Bind(root, PYTHON, writable=True),), online=False)
