"""Hyperparameters span a grid; what can't is refused before it is expanded."""

import json

import pytest

from functions.ingest.params import combinations
from shared.errors import Reject


def read(content: object) -> list[dict[str, object]]:
    return [json.loads(written) for written in combinations(json.dumps(content).encode()).values()]


def test_lists_span_the_grid_and_scalars_are_lists_of_one() -> None:
    assert read({"degree": [3, 4], "kernel": ["rbf", "poly"], "gamma": 0.5}) == [
        {"degree": degree, "gamma": 0.5, "kernel": kernel} for degree in (3, 4) for kernel in ("rbf", "poly")
    ]


def test_values_keep_their_types_and_nested_ones_stay_values() -> None:
    values = [1, 1.5, "1", True, None, {"a": [1, 2]}, [64, 32]]
    assert [trial["x"] for trial in read({"x": values})] == values


def test_a_larger_grid_keeps_the_names_of_the_smaller() -> None:
    small, large = (set(combinations(json.dumps({"a": values}).encode())) for values in ([1, 2], [3, 1, 2]))
    assert small < large
    assert len(large) == 3


def test_a_value_named_twice_is_one_trial_and_no_axes_are_one_too() -> None:
    assert read({"a": [1, 1]}) == [{"a": 1}]
    assert read({}) == [{}]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "params.malformed"),
        (b"[1]", "params.malformed"),
        (b"[]", "params.malformed"),
        (b'[{"a": 1}, 2]', "params.malformed"),
        (b"\xff", "params.malformed"),
        (b'{"a": NaN}', "params.malformed"),
        (b'{"a": 1e999}', "params.malformed"),
        (b'{"a": 1, "a": 2}', "params.malformed"),
        (b'{"a": ' + b"9" * 5000 + b"}", "params.malformed"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "params.malformed"),
        (b'{"a": "\\ud800"}', "params.malformed"),
        (b'{"a": "' + b"x" * (8 << 20) + b'"}', "params.malformed"),
        (b'{"a": []}', "params.empty-axis"),
        (json.dumps({name: list(range(100)) for name in "abc"}).encode(), "params.too-many"),
    ],
)
def test_what_is_no_grid(content: bytes, code: str) -> None:
    with pytest.raises(Reject) as reason:
        combinations(content)
    assert reason.value.code == code
