"""What every runtime is given and gives back: one attempt at one datum."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

# Where user code finds its inputs and its output.
INPUTS: Final = "/pfs"


@dataclass(frozen=True)
class Limits:
    """What one attempt may use; None: no limit. `memory` in bytes, `cpu` in cores, `seconds` of wall time."""

    cpu: float | None = None
    memory: int | None = None
    gpus: tuple[int, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class Container:
    """A program to run.

    `name` is unique on this machine, and fit for a file's name. An empty `cmd` or `workdir` means the image's own.
    User code finds each of `inputs` (a name, which may have slashes as in `data/mnist:9fd9d03`, and a file or directory
    of this host, which is never written) at `/pfs/<name>`, and writes to `/pfs/out`, which is the directory `out`,
    empty at the start.
    """

    name: str
    image: str
    cmd: tuple[str, ...]
    inputs: tuple[tuple[str, Path], ...]
    out: Path
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict, repr=False)
    workdir: str = ""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Raises ValueError for a name that would lead elsewhere."""
        for name in (self.name, *(name for name, _ in self.inputs)):
            path = PurePosixPath(name)
            if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
                raise ValueError(f"{name!r} can't be the name of a place")


@dataclass(frozen=True)
class Exit:
    """How it ended: code 0 with no reason, or a code and a phrase.

    "exit code 1", "killed by signal 9 (SIGKILL)", "out of memory: used more than 512 MiB", "timed out after 60 s"; with
    code 125 "could not be started: …". `peak` is in bytes, of the whole process tree; both costs are None where the
    machine can't tell.
    """

    code: int
    reason: str = ""
    cpu_seconds: float | None = None
    peak: int | None = None


# Hears what the program wrote, stdout and stderr as they came, in pieces of any size.
Output = Callable[[bytes], None]


class Runtime(Protocol):
    """Runs containers.

    `run` returns when no process of the container is left, however it ended. Cancelling it kills all of them first
    (within two seconds, also those that made sessions of their own). Raises LookupError where the image is unknown.
    """

    name: str

    async def run(self, container: Container, output: Output) -> Exit:
        """Runs one container to its end."""
        ...
