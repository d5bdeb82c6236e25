"""`.dockerignore` leaves out what Docker would leave out."""

import pytest

from functions.build.builder.ignore import ignored


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("*.key", "a.key", True),
        ("*.key", "sub/a.key", False),
        ("**/*.key", "sub/deep/a.key", True),
        ("**/*.key", "a.key", True),
        ("data", "data/x/y", True),
        ("/data/", "data/x", True),
        ("./data//x", "data/x", True),
        ("data", "database", False),
        ("a?c", "abc", True),
        ("a[0-9]", "a7", True),
        ("a[^0-9]", "a7", False),
        ("*\n!keep", "keep", False),
        ("*\n!keep", "other", True),
        ("!keep\n*", "keep", True),
        ("# data\n\n", "data", False),
        (".", "data", False),
        ("a.b", "aXb", False),
    ],
)
def test_the_last_pattern_that_matches_decides(text: str, path: str, expected: bool) -> None:
    assert ignored(text)(path) is expected
