"""Layers show what overlayfs would show of them, without a mount."""

from pathlib import Path

import pytest

from functions.build.builder.filesystem import look_up, seen
from shared.errors import Reject


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path in ("opt/app/data", "srv"):
        (lower / path).mkdir(parents=True)
    (lower / "opt/app/train").write_text("lower")
    (lower / "link").symlink_to("opt/app")
    (lower / "circle").symlink_to("/circle")
    (lower / "out").symlink_to("../../../../etc")
    (upper / "opt/app").mkdir(parents=True)
    (upper / "opt/app/train").write_text("upper")
    (upper / "srv").write_text("a file over a folder")
    return [upper, lower]


@pytest.mark.parametrize(
    ("path", "real", "kind"),
    [
        ("/opt/app", "/opt/app", "directory"),
        ("/opt/app/data", "/opt/app/data", "directory"),
        ("/opt/app/train", "/opt/app/train", "other"),
        ("/opt/none/x", "/opt/none/x", "nothing"),
        ("/opt/app/train/x", "/opt/app/train/x", "nothing"),
        ("/link/data", "/opt/app/data", "directory"),
        ("/link/new", "/opt/app/new", "nothing"),
        ("/srv", "/srv", "other"),
        ("/opt/../opt/./app", "/opt/app", "directory"),
        ("/out/passwd", "/etc/passwd", "nothing"),
        ("/", "/", "directory"),
    ],
)
def test_where_a_path_leads(roots: list[Path], path: str, real: str, kind: str) -> None:
    assert look_up(roots, path) == (real, kind)


def test_a_circle_of_links_is_an_error(roots: list[Path]) -> None:
    with pytest.raises(Reject, match="circle"):
        look_up(roots, "/circle/x")


def test_the_highest_layer_shows_its_file(roots: list[Path]) -> None:
    file = seen(roots, "/link/train")
    assert file is not None
    assert file.read_text() == "upper"
    assert seen(roots, "/nowhere") is None
