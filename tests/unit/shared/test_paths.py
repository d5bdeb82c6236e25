"""Paths stay inside, are legal in Pachyderm, and none takes another's place."""

import pytest

from shared.paths import Claims, parts_of


def test_a_path_is_read_as_its_names() -> None:
    assert parts_of("a/./b//c.csv") == ("a", "b", "c.csv")
    assert parts_of(".") == parts_of("") == ()


@pytest.mark.parametrize(
    "path",
    ["../a", "a/../b", "/a", "C:/a", "a\\b", "//host/a", "a*", "a?", "a[0]", "a{b}", "a!", "a(b)", "a@b", "a+b", "a^"],
)
def test_what_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|leads|has) "):
        parts_of(path)


@pytest.mark.parametrize("path", ["a\x00", "a\n", "ü", "a\u202eb", "\ud800", "a" * 256, "/".join("a" * 33)])
def test_what_is_no_name_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        parts_of(path)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("a/b", "a/b", "twice"),
        ("a", "a/b", "both a file and a directory"),
        ("a/b", "a", "both a file and a directory"),
        ("a/b/c", "a/b", "both a file and a directory"),
        ("a/b", "a/B", "case only"),
        ("a/b", "A/c", "case only"),
    ],
)
def test_collisions(first: str, second: str, why: str) -> None:
    claims = Claims()
    claims.add(parts_of(first))
    with pytest.raises(ValueError, match=why):
        claims.add(parts_of(second))


def test_neighbours_and_directories_are_no_collision() -> None:
    claims = Claims()
    for path in ("a/b", "a/c", "a/d/e", "ab"):
        claims.add(parts_of(path))
    claims.add(("a", "d"), directory=True)
    claims.add(("a",), directory=True)
