"""What the instructions of one build share: where things are, and the image as far as it is made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from functions.build.builder.context import Entry
from functions.build.builder.interpreter import Interpreter
from shared.images import Image, ImageStore, digest_of
from shared.skeleton import PYTHON, SHIM, skeleton

# Where a program is looked for: the build's own pip first, then the environment, then the image and the system.
_PATH = f"{SHIM}/bin:{PYTHON}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Build:
    """One build. `key` names everything that has happened so far; the next layer's name is made from it."""

    store: ImageStore
    context: dict[str, Entry]
    interpreter: Interpreter
    environment: str
    say: Callable[[str], None]
    key: str = ""
    layers: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ("python3",)
    user: str = ""

    def __post_init__(self) -> None:
        self.env = {
            "PATH": _PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PYTHON_VERSION": self.interpreter.version,
        }
        self.key = digest_of([self.environment, self.base.name])

    @property
    def base(self) -> Path:
        """The skeleton that all layers lie on."""
        return skeleton(self.store.root, self.interpreter.path)

    @property
    def variables(self) -> dict[str, str]:
        """What `$NAME` means in an instruction: ENV comes before ARG."""
        return {**self.args, **self.env}

    def roots(self) -> list[Path]:
        """The directories that make up the image's filesystem, highest first."""
        return [*(self.store.layer(layer) for layer in reversed(self.layers)), self.base]

    def image(self) -> Image:
        """The image as it is now."""
        return Image.sealed(
            layers=tuple(self.layers),
            environment=self.environment,
            python=str(self.interpreter.path),
            env=self.env,
            workdir=self.workdir,
            entrypoint=self.entrypoint,
            cmd=self.cmd,
            user=self.user,
        )


@dataclass(frozen=True)
class Step:
    """How one instruction went, for image.json. `id` is the layer's name, or empty where it made none."""

    instruction: str
    id: str
    cached: bool
    seconds: float
