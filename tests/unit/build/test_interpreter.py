"""FROM python:X.Y selects that Python; where it is missing, the nearest newer one."""

from pathlib import Path

import pytest

from functions.build.builder.interpreter import Interpreter, find, is_exactly, wanted
from shared.errors import Reject


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """Programs that only say which Python they are, newest first; one of them is broken."""
    programs = []
    for version in ("3.13.1", "3.12.0", "3.9.18", "3.9.2", "3.6.15"):
        program = tmp_path / version / f"python{version.rpartition('.')[0]}"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho Python {version}\n" if version != "3.12.0" else "#!/bin/sh\nexit 1\n")
        program.chmod(0o755)
        programs.append(program)
    return programs


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("3.9", "3.9.18"),
        ("3.9.2", "3.9.2"),
        ("3.9.7", "3.9.18"),
        ("3.7", "3.9.18"),
        ("3.6", "3.9.18"),
        ("3.10", "3.13.1"),
        ("3.12", "3.13.1"),
        ("3", "3.13.1"),
        ("", "3.13.1"),
    ],
)
def test_the_one_asked_for_or_the_nearest_newer(installed: list[Path], tmp_path: Path, asked: str, used: str) -> None:
    assert find(asked, installed, tmp_path / "cache", strict=False).version == used


@pytest.mark.parametrize("asked", ["3.7", "3.9.7", "3.10"])
def test_a_strict_build_takes_no_other(installed: list[Path], tmp_path: Path, asked: str) -> None:
    with pytest.raises(Reject, match=rf"wants Python {asked}.*it has 3\.9\.2, 3\.9\.18, 3\.13\.1") as reason:
        find(asked, installed, tmp_path / "cache", strict=True)
    assert reason.value.code == "build.no-interpreter"
    assert find("3.9", installed, tmp_path / "cache", strict=True).version == "3.9.18"


def test_an_older_python_never_stands_in(installed: list[Path], tmp_path: Path) -> None:
    with pytest.raises(Reject, match=r"uv python install 3\.14"):
        find("3.14", installed, tmp_path / "cache", strict=False)


def test_what_an_interpreter_said_is_remembered_until_it_changes(installed: list[Path], tmp_path: Path) -> None:
    assert find("3.13", installed, tmp_path / "cache", strict=True).version == "3.13.1"
    installed[0].write_text("#!/bin/sh\necho Python 3.13.22\n")
    assert find("3.13", installed, tmp_path / "cache", strict=True).version == "3.13.22"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("python:3.7", "3.7"),
        ("python:3.11.4-slim-bookworm", "3.11.4"),
        ("python", ""),
        ("python:latest", ""),
        ("python:slim", ""),
        ("docker.io/library/python:3", "3"),
    ],
)
def test_official_images_ask_for_a_version(image: str, version: str) -> None:
    assert wanted(image, 1) == version


@pytest.mark.parametrize(
    "image",
    [
        *("ubuntu:22.04", "python:2.7", "python:3.11-alpine", "python:3.11-windowsservercore", "scratch"),
        *("https://x.example/python:3.11", "me/python:3.11", "python:3.11@sha256:00", "python:3.9999", "python:4"),
    ],
)
def test_other_images_are_refused_with_the_line(image: str) -> None:
    with pytest.raises(Reject, match="line 5") as reason:
        wanted(image, 5)
    assert reason.value.code == "build.policy"


def test_a_version_is_compared_by_its_parts() -> None:
    python = Interpreter(Path("/x"), "3.11.7", "")
    assert all(is_exactly(python, version) for version in ("", "3", "3.11", "3.11.7"))
    assert not any(is_exactly(python, version) for version in ("3.1", "3.11.70", "3.12"))
