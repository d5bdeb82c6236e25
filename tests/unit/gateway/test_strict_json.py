"""JSON that two readers may understand differently, or that costs too much, is refused with a code."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.errors import Refused
from functions.gateway.strict_json import MAX_DEPTH, parse

TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_plain_json_is_itself(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "json.syntax"),
        (b"{", "json.syntax"),
        (b"{'a': 1}", "json.syntax"),
        (b"\xef\xbb\xbf{}", "json.syntax"),
        (b"\xff", "json.encoding"),
        ('"\ud800"'.encode("utf-8", "surrogatepass"), "json.encoding"),
        (b'"\\ud800"', "json.surrogate"),
        (b'{"\\udfff": 1}', "json.surrogate"),
        (b'{"a": 1, "a": 1}', "json.duplicate"),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', "json.duplicate"),
        (b"NaN", "json.number"),
        (b"[-Infinity]", "json.number"),
        (b"1e999", "json.number"),
        (b"1" * 5_000, "json.number"),
        (b"[" * 100_000, "json.depth"),
        (b'{"a":' * 100_000, "json.depth"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "json.depth"),
    ],
)
def test_the_rest_is_refused(text: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(text)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_a_surrogate_pair_is_a_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "😀"
