"""Words of an instruction mean what they mean to Docker."""

import pytest

from functions.build.builder.words import expand, pairs, paths, split
from shared.errors import Reject

VARIABLES = {"A": "1", "EMPTY": ""}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("$A/${A}b", "1/1b"),
        ("${B:-x$A}", "x1"),
        ("${EMPTY:-d}", "d"),
        ("${A:+set}${B:+not}", "set"),
        ("$B", ""),
        ("'$A'", "$A"),
        ('"$A b"', "1 b"),
        (r"\$A", "$A"),
        (r'"\$A\n"', r"$A\n"),
        ("it's", "its"),
        ("$", "$"),
    ],
)
def test_variables_are_put_in_and_quotes_taken_away(word: str, expected: str) -> None:
    assert expand(word, VARIABLES) == expected


def test_words_end_at_blanks_outside_quotes() -> None:
    assert split(r"""a "b c" 'd e'f g\ h""") == ["a", '"b c"', "'d e'f", r"g\ h"]


def test_both_forms_of_paths() -> None:
    assert paths('["a b", "$A"]', VARIABLES) == ["a b", "1"]
    assert paths("a $A/", VARIABLES) == ["a", "1/"]


def test_both_forms_of_environment_variables() -> None:
    assert pairs('X=1 Y="a b" Z=$A', VARIABLES, 1) == {"X": "1", "Y": "a b", "Z": "1"}
    assert pairs("X  the rest $A", VARIABLES, 1) == {"X": "the rest 1"}
    with pytest.raises(Reject, match="line 7: 'b' is not NAME=value"):
        pairs("a=1 b", VARIABLES, 7)
