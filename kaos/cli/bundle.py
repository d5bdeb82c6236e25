"""What a user means by `-s`, `-d` and `-h`: the directory that is the bundle, its name, and the grid it spans."""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kaos.cli.pack import SKIPPED
from kaos.cli.wire import PartKind
from shared.errors import Reject
from shared.names import bundle_name, strip_suffix

# The gateway's own limit of a grid (functions/ingest): told here before anything is uploaded.
TRIALS_MAX: Final = 10_000
_REQUIRED: Final = (
    ("model", "bundle.no-model"),
    ("model/requirements.txt", "bundle.no-requirements"),
    ("model/train", "bundle.no-train"),
)


@dataclass(frozen=True)
class Bundle:
    """A part of a submission as it lies on this disk: a directory, or the file of hyperparameters."""

    kind: PartKind
    name: str
    path: Path


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


def params(given: Path) -> tuple[Bundle, dict[str, list[Any]]]:
    """The file of hyperparameters, and its axes. Raises Reject `params.…`."""
    try:
        read = json.loads(given.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Reject("params.malformed", f"{given} is not valid JSON: {error}.") from error
    if not isinstance(read, dict):
        raise Reject("params.malformed", f'{given} must hold a JSON object, like {{"degree": [3, 4]}}.')
    axes = {name: value if isinstance(value, list) else [value] for name, value in read.items()}
    for axis, values in axes.items():
        if not values:
            raise Reject("params.empty-axis", f"The list of {axis!r} is empty: give it a value or leave it out.")
    count = trials(axes)
    if count > TRIALS_MAX:
        raise Reject("params.too-many", f"{given} spans {count:,} combinations; {TRIALS_MAX:,} are the most.")
    return Bundle("params", bundle_name(strip_suffix(given.name)), given), axes


def trials(axes: dict[str, list[Any]]) -> int:
    """The number of combinations."""
    return math.prod(len(values) for values in axes.values())


def combinations(axes: dict[str, list[Any]], most: int) -> list[tuple[Any, ...]]:
    """The first `most` combinations, in the order of the axes."""
    return list(itertools.islice(itertools.product(*axes.values()), most))


def _only_folder(given: Path) -> Path | None:
    children = _children(given)
    return children[0] if len(children) == 1 and children[0].is_dir() else None


def _children(given: Path) -> list[Path]:
    return sorted(path for path in given.iterdir() if path.name not in SKIPPED)
