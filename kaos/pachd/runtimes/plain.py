"""Runs containers as processes of this host, for machines with neither bubblewrap nor podman. It isolates nothing.

The image's layers are copied into a directory, and the Python environment's programs come first on PATH. User code
finds /pfs in one of two ways:

* Where the engine may make a symbolic link at /pfs and nothing else is there, every path is as in a container. There
  is one /pfs on a machine, so containers run one at a time, those of other engines too.
* Elsewhere (not as root, on macOS), /pfs in words of the command, in its stdin and in its environment is replaced by
  the real directory. A path that the user's own code spells out is not found.

Absolute paths of the image mean the copy where a word of the command or a variable is one, and the host elsewhere.
"""

import asyncio
import contextlib
import fcntl
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from kaos.pachd.runtimes import farm, hosted, rlimits, scratch
from kaos.pachd.runtimes.cgroups import Cgroup, Cgroups
from kaos.pachd.runtimes.container import INPUTS, Container, Exit, Output
from kaos.pachd.runtimes.exits import exit_of, not_started
from kaos.pachd.runtimes.gpus import Gpu
from kaos.pachd.runtimes.process import NotStarted, Process, supervise, uninterrupted
from shared.errors import NotFound
from shared.images import Image, ImageStore
from shared.skeleton import PYTHON

# /pfs as a whole word of a path, not as a part of /opt/pfs or /pfsx.
_MENTIONED: Final = re.compile(rf"(?<![\w./-]){INPUTS}(?![\w.-])")
_GRACE_SECONDS: Final = 0.0
# Another engine's container is waited for; nothing tells that it has ended.
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class _Room:
    """What a container has of its own: its root, its /pfs, a home."""

    directory: Path
    environment: Path | None
    real: bool

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def pfs(self) -> Path:
        return self.directory / "pfs"

    def word(self, text: str) -> str:
        """What a path, or a list of them, in the container means on this host."""
        return os.pathsep.join(self._path(part) for part in self.text(text).split(os.pathsep))

    def text(self, text: str) -> str:
        """Text with the container's /pfs replaced, unless it is really there."""
        return text if self.real else _MENTIONED.sub(lambda _: str(self.pfs), text)

    def _path(self, path: str) -> str:
        copied = self.root / path.lstrip("/")
        return str(copied) if path.startswith("/") and path.strip("/") and os.path.lexists(copied) else path

    def search(self, path: str) -> str:
        """PATH: the image's own directories first among equals, then the host's of the same name."""
        return os.pathsep.join(dict.fromkeys(str(folder) for folder in self._folders(path)))

    def _folders(self, path: str) -> Iterator[Path]:
        for folder in path.split(os.pathsep):
            if folder == f"{PYTHON}/bin" and self.environment:
                yield self.environment / "bin"
            else:
                yield from (place for place in (Path(self._path(folder)), Path(folder)) if place.is_dir())


class Plain:
    """`link` is where the link to inputs and outputs is tried; None: nowhere."""

    name = "plain"

    def __init__(
        self,
        store: ImageStore,
        directory: Path,
        cgroups: Cgroups,
        *,
        gpus: Sequence[Gpu] = (),
        link: Path | None = Path(INPUTS),
    ) -> None:
        self._store = store
        self._directory = directory
        self._cgroups = cgroups
        self._gpus = tuple(gpus)
        self._link = link if link is not None and _linkable(link) else None
        self._turn = asyncio.Lock()

    @property
    def has_link(self) -> bool:
        """Whether user code sees /pfs itself."""
        return self._link is not None

    async def run(self, container: Container, output: Output) -> Exit:
        """Runs one container to its end."""
        try:
            image = self._store.resolve(container.image)
        except NotFound as error:
            raise LookupError(error.message) from error
        own = scratch.make(self._directory, container.name, "root", "pfs", "home")
        cgroup = self._cgroups.create(container.name, container.limits)
        try:
            async with self._shown(own / "pfs"):
                return await self._run(container, image, own, cgroup, output)
        except NotStarted as error:
            return not_started(str(error))
        finally:
            cgroup.remove()
            await asyncio.to_thread(scratch.discard, own)

    @contextlib.asynccontextmanager
    async def _shown(self, folder: Path) -> AsyncIterator[None]:
        """Makes the link lead there, as long as it is this container's turn among all on this machine."""
        if self._link is None:
            yield
            return
        async with self._turn:
            # The kernel lets go of the lock with the engine, so a link that is found by its holder is nobody's.
            lock = os.open(self._link.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                await _locked(lock)
                if self._link.is_symlink():
                    self._link.unlink()
                self._link.symlink_to(folder)
                yield
            finally:
                if self._link.is_symlink() and self._link.readlink() == folder:
                    self._link.unlink()
                os.close(lock)

    async def _run(self, container: Container, image: Image, own: Path, cgroup: Cgroup, output: Output) -> Exit:
        environment = self._store.environment(image.environment) if image.environment else None
        room = _Room(own, environment, real=self.has_link)
        await uninterrupted(asyncio.to_thread(self._furnish, container, image, room))
        argv = [room.word(word) for word in container.cmd or (*image.entrypoint, *image.cmd)]
        env = self._variables(container, image, room)
        workdir = Path(room.word(container.workdir or image.workdir))

        def begin(stdin: IO[bytes], stdout: int) -> Process:
            prefix = rlimits.prefix(container.limits, self._cgroups.lacking)
            return hosted.start(argv, env, workdir, stdin, stdout, cgroup, prefix=prefix)

        ended = await supervise(
            begin,
            lambda process: hosted.kill(process, cgroup, grace=_GRACE_SECONDS),
            stdin=room.text(container.stdin.decode(errors="surrogateescape")).encode(errors="surrogateescape"),
            output=output,
            seconds=container.limits.seconds,
        )
        return exit_of(ended, cgroup.usage(), container.limits)

    def _furnish(self, container: Container, image: Image, room: _Room) -> None:
        farm.merge((self._store.layer(layer) for layer in image.layers), room.root)
        for name, source in container.inputs:
            farm.link(source, room.pfs / name)
        (room.pfs / "out").symlink_to(container.out.absolute())

    def _variables(self, container: Container, image: Image, room: _Room) -> dict[str, str]:
        given = {**image.env, **container.env}
        return {
            **{name: room.word(value) for name, value in given.items()},
            "PATH": room.search(given.get("PATH", os.defpath)),
            "HOME": str(room.directory / "home"),
            "CUDA_VISIBLE_DEVICES": ",".join(self._gpus[index].uuid for index in container.limits.gpus),
        }


def _linkable(link: Path) -> bool:
    return os.access(link.parent, os.W_OK) and (link.is_symlink() or not link.exists())


async def _locked(descriptor: int) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return
