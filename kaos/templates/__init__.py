"""Examples that train as they are, to begin from: `kaos template get` copies them."""

import shutil
from pathlib import Path
from typing import Final

from shared.errors import Conflict, NotFound

_SUMMARIES: Final = {
    "diabetes": "Progression of a disease by linear regression; source, data and a grid of hyperparams.",
    "mnist": "Handwritten digits by a support vector machine; source, data here and remote, and a grid of hyperparams.",
}
# What running a template in place would leave behind.
_NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", "*.pyc")


def every() -> dict[str, str]:
    """Name → what it is, in a sentence."""
    return dict(_SUMMARIES)


def get(name: str, to: Path) -> Path:
    """Copies template `name` into the new folder `to`/`name`, and returns that.

    Raises NotFound `template.unknown`, or Conflict `template.exists` where the folder is there.
    """
    if name not in _SUMMARIES:
        raise NotFound("template.unknown", f"There is no template {name[:60]!r}; there are: {', '.join(_SUMMARIES)}.")
    target = to / name
    if target.exists():
        raise Conflict("template.exists", f"{target} is there already: remove it, or choose another place with -o.")
    shutil.copytree(Path(__file__).parent / name, target, ignore=_NOT_COPIED)
    return target
