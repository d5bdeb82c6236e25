"""A Dockerfile becomes instructions with their lines; what no builder could follow is refused with the line."""

from pathlib import Path

import pytest

from functions.build.builder.dockerfile import Instruction, json_form, read
from shared.errors import Reject

FROM = "FROM python:3.11\n"


def parsed(tmp_path: Path, text: str | bytes) -> list[Instruction]:
    path = tmp_path / "Dockerfile"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


def test_instructions_keep_the_line_on_which_they_begin(tmp_path: Path) -> None:
    found = parsed(
        tmp_path, "# syntax=docker/dockerfile:1\n\nfrom python:3.11 AS base\nRUN a && \\\n  # why\n\n  b\nENV A=1\n"
    )
    assert [(step.line, step.name) for step in found] == [(3, "FROM"), (4, "RUN"), (8, "ENV")]
    assert found[1].value.split() == ["a", "&&", "b"]


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    found = parsed(tmp_path, b"\xef\xbb\xbfFROM python:3.11\r\nRUN a \\\r\n  b\r\n")
    assert [str(step) for step in found] == ["FROM python:3.11", "RUN a b"]


def test_leading_flags_are_told_apart_from_the_value(tmp_path: Path) -> None:
    step = parsed(tmp_path, FROM + "COPY --chown=a:b --link x /x\n")[1]
    assert (step.flags, step.value) == ((("chown", "a:b"), ("link", "")), "x /x")
    assert str(step) == "COPY --chown=a:b --link x /x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: there is no FROM"),
        ("RUN true\n" + FROM, "line 1: RUN stands before FROM"),
        (FROM + "\nCOPPY a b\n", "line 3: there is no instruction 'COPPY'"),
        (FROM + "nonsense\n", "line 2: there is no instruction 'NONSENSE'"),
        (FROM + "RUN\n", "line 2"),
        (FROM + FROM, "line 2: a second FROM"),
        (FROM + "RUN cat <<EOF\nhi\nEOF\n", "line 2: RUN with a here-document"),
        (b"FROM python\nRUN \xff\n", "line 2: it is not UTF-8"),
        (b"FROM python\nRUN \x00\n", "line 2: it holds a NUL"),
        ("#" * 2**20 + "\n" + FROM, "larger than"),
    ],
)
def test_a_dockerfile_that_can_not_be_followed_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(Reject, match=said):
        parsed(tmp_path, text)


def test_the_exec_form_is_a_list_of_strings_and_nothing_else() -> None:
    assert json_form('["a", "b c"]') == ["a", "b c"]
    for shell in ("a b", "[ -f x ]", '["a", 1]', "[" * 100_000):
        assert json_form(shell) is None
