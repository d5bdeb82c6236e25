"""Hyperparameters: a JSON object whose lists span a grid; each combination becomes one trial."""

import hashlib
import itertools
import json
import math
from typing import Any, Final

from shared.errors import Reject

# A grid larger than this is a slip of the pen; lengths are multiplied before anything is expanded.
TRIALS_MAX: Final = 10_000
_BYTES_MAX: Final = 1 << 20
# json's parser recurses: this many brackets are far below what it bears, and far above what parameters need.
_DEPTH_MAX: Final = 32
# Python's own limit for converting digits to an int safely is 4,300; nobody tunes with 40.
_DIGITS_MAX: Final = 40
_TRIAL_DIGITS: Final = 6


def combinations(content: bytes) -> dict[str, bytes]:
    """File name → canonical JSON of each combination: `<first 6 hex of its SHA-256>.json`.

    A list is an axis of the grid; any other value is an axis of one; values inside a list stay as they are.
    Raises Reject `params.malformed`, `params.empty-axis` or `params.too-many`.
    """
    axes = _axes(content)
    count = math.prod(len(values) for values in axes.values())
    if count > TRIALS_MAX:
        raise Reject("params.too-many", f"The grid has {count} combinations; {TRIALS_MAX} are the most.")
    found: dict[str, bytes] = {}
    for values in itertools.product(*axes.values()):
        combination = canonical(dict(zip(axes, values, strict=True)))
        digest = hashlib.sha256(combination).hexdigest()
        # A value named twice on an axis is one trial; two trials of one short name are told apart by a longer one.
        name = f"{digest[:_TRIAL_DIGITS]}.json"
        if found.get(name, combination) != combination:
            name = f"{digest}.json"
        found[name] = combination
    return found


def canonical(value: object) -> bytes:
    """The one way to write a JSON value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _axes(content: bytes) -> dict[str, list[Any]]:
    if len(content) > _BYTES_MAX:
        raise Reject("params.malformed", f"The hyperparameters are larger than {_BYTES_MAX} bytes.")
    try:
        text = content.decode()
        _check_depth(text)
        read = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_int, parse_float=_float
        )
        canonical(read)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and the Unicode errors are ValueErrors
        raise Reject("params.malformed", f"The hyperparameters are not valid JSON: {error}.") from error
    if not isinstance(read, dict):
        raise Reject("params.malformed", 'The hyperparameters must be a JSON object, like {"degree": [3, 4]}.')
    axes = {name: value if isinstance(value, list) else [value] for name, value in sorted(read.items())}
    for name, values in axes.items():
        if not values:
            raise Reject("params.empty-axis", f"The list of {name[:100]!r} is empty: give it a value or leave it out.")
    return axes


def _check_depth(text: str) -> None:
    depth = 0
    for character in text:  # brackets inside strings count too: who has 32 of them in a name can do without
        depth += (character in "[{") - (character in "]}")
        if depth > _DEPTH_MAX:
            raise ValueError(f"it is nested deeper than {_DEPTH_MAX}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} is there twice")
    return read


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _int(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"a number has more than {_DIGITS_MAX} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:40]} is too large a number")
    return value
