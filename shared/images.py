"""Images without a container engine: the layers, environments and settings that a build makes and a job runs in."""

import contextlib
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.disk import is_renewed, sync, sync_file_system
from shared.errors import NotFound

_TAKEN_OUT = "taken-out-"


@dataclass(frozen=True)
class Image:
    """What a build made. The digest is the SHA-256 of the canonical JSON of everything else.

    Layers stand lowest first, as overlayfs stacks them; `environment` is the key of the Python environment that
    `python` (an interpreter of the host) runs in. A dataclass, since importing pydantic takes longer than a build
    in which nothing has changed.
    """

    digest: str
    layers: tuple[str, ...]
    environment: str | None
    python: str
    env: dict[str, str]
    workdir: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    user: str

    @classmethod
    def sealed(
        cls,
        *,
        layers: tuple[str, ...],
        environment: str | None,
        python: str,
        env: Mapping[str, str],
        workdir: str = "/",
        entrypoint: tuple[str, ...] = (),
        cmd: tuple[str, ...] = (),
        user: str = "",
    ) -> "Image":
        """The image with these properties, its digest computed."""
        properties: dict[str, Any] = {
            "layers": layers,
            "environment": environment,
            "python": python,
            "env": dict(env),
            "workdir": workdir,
            "entrypoint": entrypoint,
            "cmd": cmd,
            "user": user,
        }
        return cls(digest=digest_of(properties), **properties)


class ImageStore:
    """A directory of images, layers and environments, shared by the builder (writes) and the runtimes (read).

    Everything in it is named by what it is made of, appears by one rename, and is never changed afterwards, but for the
    time of its directory or file: when a build last used it. What nobody uses is taken out while nobody builds. It is
    closed to other users of the machine: a layer may hold set-user-id programs of a hostile image.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        for name in ("images", "layers", "environments", "skeletons", "scratch", "mount"):
            (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, image: Image) -> None:
        """Records an image, which then survives a power cut; recording it again changes nothing."""
        path = self._image(image.digest)
        if not is_renewed(path):
            draft = self.root / "scratch" / f"{image.digest}.{os.getpid()}"
            draft.write_bytes(_canonical(asdict(image)))
            sync(draft)
            draft.replace(path)
        # Layers and environments were written out before they got their names: see keep.
        for kind in ("layers", "environments", "images"):
            sync(self.root / kind)

    def resolve(self, ref: str) -> Image:
        """The image of `<name>@sha256:<digest>`; raises NotFound `image.unknown` where this store has none."""
        _, found, digest = ref.rpartition("@sha256:")
        if found and digest.isalnum():
            path = self._image(digest)
            if path.exists():
                return _read(path)
        raise NotFound(
            "image.unknown",
            f"There is no image {ref!r} on this machine: deploy its source again, which builds it.",
        )

    def layer(self, layer: str) -> Path:
        """The directory tree of a layer, relative to `/`; whiteouts as overlayfs makes them."""
        return self.root / "layers" / layer / "root"

    def environment(self, key: str) -> Path:
        """The Python environment of this key, to be bound read-only."""
        return self.root / "environments" / key

    def every(self) -> Iterator[tuple[Path, Image]]:
        """All images, each with the file that records it."""
        for path in sorted((self.root / "images").glob("*.json")):
            yield path, _read(path)

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """While this lasts, nothing is taken out of the store. Builds go on side by side."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def sweeping(self) -> Iterator[bool]:
        """Whether nobody builds; if so, builds wait while this lasts."""
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    def take_out(self, path: Path) -> None:
        """Takes a file or directory out of the store at once; `left` has it, until somebody removes it."""
        path.rename(self.root / "scratch" / f"{_TAKEN_OUT}{uuid.uuid4().hex}")

    def left(self) -> list[Path]:
        """What was taken out and is still there."""
        return sorted((self.root / "scratch").glob(f"{_TAKEN_OUT}*"))

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """The lock is the kernel's: it ends with the process, however that ends."""
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _image(self, digest: str) -> Path:
        return self.root / "images" / f"{digest}.json"


def keep(draft: Path, path: Path) -> bool:
    """Gives a draft its name in the store, whole even after a power cut; False where there was one: of two, one wins.

    A draft that is as large as an environment takes as long as the disk does.
    """
    sync_file_system(draft)
    try:
        draft.rename(path)
    except OSError:
        if not path.exists():
            raise
        return False
    return True


def digest_of(properties: object) -> str:
    """SHA-256, in hex, of the canonical JSON (sorted keys, no spaces) of anything JSON can hold."""
    return hashlib.sha256(_canonical(properties)).hexdigest()


def _canonical(properties: object) -> bytes:
    return json.dumps(properties, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _read(path: Path) -> Image:
    fields = json.loads(path.read_bytes())
    for name in ("layers", "entrypoint", "cmd"):
        fields[name] = tuple(fields[name])
    return Image(**fields)
