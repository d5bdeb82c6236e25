"""RUN: a command in a sandbox over the layers made so far; what it writes becomes the next layer."""

import subprocess

from functions.build.builder import uv
from functions.build.builder.dockerfile import Instruction
from functions.build.builder.layers import Draft
from functions.build.builder.output import shown
from functions.build.builder.pipserver import PipServer
from functions.build.builder.state import Build
from shared.errors import KaosError, Reject
from shared.images import Image
from shared.sandbox import Sandbox, start


def run(build: Build, instruction: Instruction, argv: tuple[str, ...], made: Draft) -> str:
    """Runs it with its output shown; the key of the environment that its pip installs led to.

    Raises Reject `build.run-failed`, or what stopped pip.
    """
    pip = PipServer(build.tools, build.environment, made.directory)
    try:
        # The environment is shown by a link that pip moves, hence it isn't part of this image.
        image = Image.sealed(layers=tuple(build.layers), environment=None, python=str(build.tools.python), env={})
        sandbox = Sandbox(
            image,
            build.tools.store,
            made.root,
            made.work,
            binds=pip.binds(),
            env={**uv.network(trusted=False), **build.args, **build.env},
            cwd=build.workdir,
            network=True,
        )
        status, last = shown(start(sandbox, argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    finally:
        pip.close()
    if status != 0:
        build.tools.check_sandbox()
        raise _failed(instruction, status, last, pip.error)
    return pip.environment


def _failed(instruction: Instruction, status: int, last: str, cause: KaosError | None) -> KaosError:
    where = f"Dockerfile line {instruction.line}: {str(instruction)[:120]}"
    if cause is not None:
        return type(cause)(cause.code, f"{where}: {cause}")
    if "No space left on device" in last:
        return Reject("build.disk", f"{where}: the disk is full: free some space on the machine that builds.")
    said = f": {last}" if last else ""
    return Reject("build.run-failed", f"{where} ended with exit status {status}{said}")
