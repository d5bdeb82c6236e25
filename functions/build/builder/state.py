"""What the instructions of one build share: where things are, and the image as far as it is made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from functions.build.builder.context import Entry
from functions.build.builder.toolchain import Toolchain
from shared.images import Image, digest_of
from shared.skeleton import PYTHON, SHIM, host, skeleton

# Where a program is looked for: the build's own pip first, then the environment, then the image and the system.
_PATH = f"{SHIM}/bin:{PYTHON}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Build:
    """One build. `key` names everything that has happened so far; the next layer's name is made from it."""

    tools: Toolchain
    context: dict[str, Entry]
    environment: str
    say: Callable[[str], None]
    key: str = ""
    layers: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    # ARGs before FROM: an ARG without a value takes theirs.
    defaults: dict[str, str] = field(default_factory=dict)
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
            "PYTHON_VERSION": self.tools.interpreter.version,
        }
        self.key = digest_of([self.environment, self.base.name])

    @property
    def base(self) -> Path:
        """The skeleton that all layers lie on."""
        return skeleton(self.tools.store.root, self.tools.python)

    @property
    def variables(self) -> dict[str, str]:
        """What `$NAME` means in an instruction: ENV comes before ARG."""
        return {**self.args, **self.env}

    def roots(self) -> list[Path]:
        """The directories that make up the image's filesystem, highest first."""
        return [*(self.tools.store.layer(layer) for layer in reversed(self.layers)), self.base]

    def is_reserved(self, path: str) -> bool:
        """Whether a path lies where sandboxes mount the host's system."""
        places = (*host(self.tools.python).mountpoints(), "/.kaos")
        return any(path == place or path.startswith(place + "/") for place in places)

    def image(self) -> Image:
        """The image as it is now."""
        return Image.sealed(
            layers=tuple(self.layers),
            environment=self.environment,
            python=str(self.tools.python),
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
