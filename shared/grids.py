"""Hyperparameters: a JSON object whose lists span a grid, or a JSON list of combinations; each is one trial.

    {"degree": [3, 4], "gamma": 0.1}                      a grid of two
    [{"degree": 3, "gamma": 0.1}, {"degree": 7}]          two that were chosen, as a random search does

Light to import: the command line uses it too.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from shared.errors import Reject

# A grid larger than this is a slip of the pen; lengths are multiplied before anything is expanded.
TRIALS_MAX: Final = 10_000
# So many combinations, written out, of 800 bytes each.
BYTES_MAX: Final = 8 << 20
# json's parser recurses: this many brackets are far below what it bears, and far above what parameters need.
_DEPTH_MAX: Final = 32
# Python's own limit for converting digits to an int safely is 4,300; nobody tunes with 40.
_DIGITS_MAX: Final = 40
_NAME_DIGITS: Final = 6

Combination: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """The cross product of the axes, which are sorted by name; the last one turns fastest."""

    axes: dict[str, list[Any]]

    @property
    def count(self) -> int:
        """How many combinations there are."""
        return math.prod(len(values) for values in self.axes.values())

    def at(self, number: int) -> Combination:
        """One of them, without making the others."""
        found = {}
        for name, values in reversed(self.axes.items()):
            number, place = divmod(number, len(values))
            found[name] = values[place]
        return dict(reversed(found.items()))


@dataclass(frozen=True)
class Listed:
    """Combinations that somebody chose."""

    combinations: tuple[Combination, ...]

    @property
    def count(self) -> int:
        """How many combinations there are."""
        return len(self.combinations)

    def at(self, number: int) -> Combination:
        """One of them."""
        return self.combinations[number]


Space: TypeAlias = Grid | Listed


def read(content: bytes) -> Space:
    """Reads hyperparameters. In a grid a list is an axis, any other value an axis of one; values keep their types.

    Raises Reject `params.malformed` or `params.empty-axis`.
    """
    found = _parsed(content)
    if isinstance(found, dict):
        axes = {name: value if isinstance(value, list) else [value] for name, value in sorted(found.items())}
        for name, values in axes.items():
            if not values:
                raise Reject(
                    "params.empty-axis", f"The list of {name[:100]!r} is empty: give it a value or leave it out."
                )
        return Grid(axes)
    if isinstance(found, list) and found and all(isinstance(combination, dict) for combination in found):
        return Listed(tuple(found))
    raise Reject(
        "params.malformed",
        'The hyperparameters must be a JSON object, like {"degree": [3, 4]}, or a list of combinations, like '
        '[{"degree": 3}, {"degree": 4}].',
    )


def expand(space: Space) -> dict[str, bytes]:
    """File name → canonical JSON of each combination: `<first 6 hex of its SHA-256>.json`.

    Raises Reject `params.too-many`.
    """
    if space.count > TRIALS_MAX:
        raise Reject(
            "params.too-many",
            f"There are {space.count:,} combinations; {TRIALS_MAX:,} are the most: draw some with --search random.",
        )
    found: dict[str, bytes] = {}
    for number in range(space.count):
        combination = canonical(space.at(number))
        digest = digest_of(combination)
        # A value named twice on an axis is one trial; two trials of one short name are told apart by a longer one.
        name = f"{digest[:_NAME_DIGITS]}.json"
        if found.get(name, combination) != combination:
            name = f"{digest}.json"
        found[name] = combination
    return found


def draw(space: Space, count: int, seed: int) -> Listed:
    """`count` combinations, none twice, all where there are fewer; for the same seed the same ones, for ever.

    They come from SHA-256 and not from Python's generator, whose sampling may change with its version.
    """
    if count >= space.count:
        return Listed(tuple(map(space.at, range(space.count))))
    numbers: dict[int, None] = {}
    turn = 0
    while len(numbers) < count:
        digest = hashlib.sha256(f"{seed}:{turn}".encode()).digest()
        numbers[int.from_bytes(digest) % space.count] = None
        turn += 1
    return Listed(tuple(map(space.at, numbers)))


def canonical(value: object) -> bytes:
    """The one way to write a JSON value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(combination: bytes) -> str:
    """What a combination, written canonically, is known by: its SHA-256 in hex."""
    return hashlib.sha256(combination).hexdigest()


def _parsed(content: bytes) -> Any:
    if len(content) > BYTES_MAX:
        raise Reject("params.malformed", f"The hyperparameters are larger than {BYTES_MAX:,} bytes.")
    try:
        text = content.decode()
        _check_depth(text)
        read = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_int, parse_float=_float
        )
        canonical(read)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and the Unicode errors are ValueErrors
        raise Reject("params.malformed", f"The hyperparameters are not valid JSON: {error}.") from error
    return read


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
