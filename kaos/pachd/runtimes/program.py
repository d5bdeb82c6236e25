"""Runs system images: programs of kaos itself, the builder and the fetcher, as programs of this host.

They need what user code must not have: the image store, and the network. So they are trusted, and what a pipeline
may choose about them is little: a module of `functions`, its arguments, and variables that steer no interpreter.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import shared
from kaos.pachd.runtimes import hosted, rlimits, scratch
from kaos.pachd.runtimes.cgroups import Cgroup, Cgroups
from kaos.pachd.runtimes.container import INPUTS, Container, Exit, Output
from kaos.pachd.runtimes.exits import exit_of, not_started
from kaos.pachd.runtimes.process import NotStarted, Process, supervise

# A build removes its drafts when it is asked to end; what is cancelled must be gone within two seconds.
_GRACE_SECONDS: Final = 1.0
_PYTHON: Final = ("python", "-m")
_PACKAGE: Final = "functions."
# Variables by which a pipeline could make the interpreter, or the loader, run something else.
_STEERING: Final = ("LD_", "DYLD_", "PYTHON", "PATH", "BASH_ENV")
_TAKEN_OVER: Final = ("PATH", "HOME", "LANG")


class Program:
    """`images` are the names of the system images, each with the variables of its own: addresses and credentials."""

    name = "program"

    def __init__(self, images: Mapping[str, Mapping[str, str]], directory: Path, cgroups: Cgroups) -> None:
        self.images = images
        self._directory = directory
        self._cgroups = cgroups

    async def run(self, container: Container, output: Output) -> Exit:
        """Runs one program to its end. Raises LookupError for other images."""
        own_variables = self.images[container.image]
        if container.cmd[:2] != _PYTHON or not "".join(container.cmd[2:3]).startswith(_PACKAGE):
            return not_started(f"{container.image} runs `python -m {_PACKAGE}…` and nothing else")
        own = scratch.make(self._directory, container.name, "pfs", "work")
        cgroup = self._cgroups.create(container.name, container.limits)
        try:
            seen = lay_out(container, own / "pfs")
            env = {**_variables(container, seen), **own_variables, "CUDA_VISIBLE_DEVICES": ""}
            argv = [sys.executable, *(located(word, seen) for word in container.cmd[1:])]
            return await self._run(container, argv, env, own / "work", cgroup, output)
        except NotStarted as error:
            return not_started(str(error))
        finally:
            cgroup.remove()
            await asyncio.to_thread(scratch.discard, own)

    async def _run(  # noqa: PLR0917  # all of them are the run
        self,
        container: Container,
        argv: list[str],
        env: dict[str, str],
        directory: Path,
        cgroup: Cgroup,
        output: Output,
    ) -> Exit:
        def begin(stdin: IO[bytes], stdout: int) -> Process:
            prefix = rlimits.prefix(container.limits, self._cgroups.lacking)
            return hosted.start(argv, env, directory, stdin, stdout, cgroup, prefix=prefix)

        ended = await supervise(
            begin,
            lambda process: hosted.kill(process, cgroup, grace=_GRACE_SECONDS),
            stdin=container.stdin,
            output=output,
            seconds=container.limits.seconds,
        )
        return exit_of(ended, cgroup.usage(), container.limits)


def lay_out(container: Container, folder: Path) -> Path:
    """Makes in `folder` what a container sees as /pfs, of symbolic links; returns it."""
    for name, source in (*container.inputs, ("out", container.out)):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(source.absolute())
    return folder


def located(word: str, folder: Path) -> str:
    """A word that names something in /pfs names it in `folder`; any other is as it was."""
    return f"{folder}{word.removeprefix(INPUTS)}" if word == INPUTS or word.startswith(f"{INPUTS}/") else word


def _variables(container: Container, folder: Path) -> dict[str, str]:
    given = {name: located(value, folder) for name, value in container.env.items() if not name.startswith(_STEERING)}
    ours = {name: os.environ[name] for name in _TAKEN_OVER if name in os.environ}
    # The packages of kaos first, be it a checkout or where they are installed; then wherever this process looks.
    search = os.pathsep.join(dict.fromkeys((str(Path(shared.__file__).parent.parent), *filter(None, sys.path))))
    return {**given, **ours, "PYTHONPATH": search, "PYTHONUNBUFFERED": "1"}
