"""What reaches a terminal: no control code of anybody else's."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos.cli.terminal import amount, duration, safe


@given(st.text(st.characters(codec=None)))
def test_no_control_code_is_left(text: str) -> None:
    shown = safe(text)

    assert all(character == "\t" or unicodedata.category(character) != "Cc" for character in shown)
    assert not any("\u202a" <= character <= "\u202e" for character in shown)
    shown.encode()  # half a surrogate pair could not be written


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"])))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0.00 s"), (0.416, "0.42 s"), (12.34, "12.3 s"), (184, "3 m 04 s"), (7530, "2 h 05 m")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (3_200_000_000, "3.2 GB"), (10**18, "1000000.0 TB")],
)
def test_amounts(size: int, text: str) -> None:
    assert amount(size) == text
