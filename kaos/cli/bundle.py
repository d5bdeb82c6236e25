"""What a user means by `-s`, `-d`, `-m` and `-h`: the directory or file, its name, and what is to be tried."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kaos.cli.pack import SKIPPED
from kaos.cli.wire import PartKind
from shared import grids
from shared.errors import Reject
from shared.names import bundle_name, strip_suffix

_REQUIRED: Final = (
    ("model", "bundle.no-model"),
    ("model/requirements.txt", "bundle.no-requirements"),
    ("model/train", "bundle.no-train"),
)


@dataclass(frozen=True)
class Bundle:
    """A part of a submission as it lies on this disk: a directory, a manifest, or hyperparameters and their space."""

    kind: PartKind
    name: str
    path: Path
    space: grids.Space | None = None


def source(given: Path, name: str) -> Bundle:
    """The folder that holds Dockerfile and model/: `given`, or the only folder in it.

    Raises Reject `bundle.no-dockerfile`, `.several-roots`, `.no-model`, `.no-requirements` or `.no-train`.
    """
    root = given if (given / "Dockerfile").is_file() else _only_folder(given)
    if root is None or not (root / "Dockerfile").is_file():
        folders = [path.name for path in _children(given) if path.is_dir()]
        if root is None and len(folders) > 1 and "model" not in folders:
            raise Reject(
                "bundle.several-roots",
                f"{given} has several folders ({', '.join(folders[:5])}): "
                "deploy the one that holds Dockerfile and model/.",
            )
        raise Reject("bundle.no-dockerfile", f"{root or given} has no Dockerfile: put one beside model/.")
    for path, code in _REQUIRED:
        if not (root / path).exists():
            raise Reject(code, f"The source bundle has no {path}: add {root / path} and deploy again.")
    return Bundle("source", bundle_name(name or root.resolve().name), root)


def data(given: Path, name: str) -> Bundle:
    """The data directory: the only folder in `given`, else `given` itself. Raises Reject `bundle.name`."""
    root = _only_folder(given) or given
    return Bundle("data", bundle_name(name or root.resolve().name), root)


def manifest(given: Path, name: str) -> Bundle:
    """The manifest of remote data, named for its file. Raises Reject `bundle.name`."""
    return Bundle("manifest", bundle_name(name or strip_suffix(given.name)), given)


def params(given: Path, *, draw: int | None = None, seed: int = 0) -> Bundle:
    """The file of hyperparameters, or `draw` of its combinations, chosen by `seed`. Raises Reject `params.…`."""
    space = grids.read(given.read_bytes())
    if draw is not None:
        space = grids.draw(space, draw, seed)
    if space.count > grids.TRIALS_MAX:
        raise Reject(
            "params.too-many",
            f"{given} spans {space.count:,} combinations; {grids.TRIALS_MAX:,} are the most: "
            "--search random --trials N draws some of them.",
        )
    return Bundle("params", bundle_name(strip_suffix(given.name)), given, space)


def _only_folder(given: Path) -> Path | None:
    children = _children(given)
    return children[0] if len(children) == 1 and children[0].is_dir() else None


def _children(given: Path) -> list[Path]:
    return sorted(path for path in given.iterdir() if path.name not in SKIPPED)
