"""A source bundle holds Dockerfile and model/, with or without one folder around them."""

import pytest

from functions.ingest.layout import source_root
from shared.bundles import Entry
from shared.errors import Reject

WHOLE = ("Dockerfile", "model/requirements.txt", "model/train")


def entries(*paths: str) -> list[Entry]:
    return [Entry(path, False, "0" * 64, 1) for path in paths]


def test_the_root_is_where_the_dockerfile_is() -> None:
    assert source_root(entries(*WHOLE, "notes/README")) == ""
    assert source_root(entries(*(f"mnist/{path}" for path in WHOLE))) == "mnist/"


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (WHOLE[1:], "bundle.no-dockerfile"),
        (("README",), "bundle.no-dockerfile"),
        (("Dockerfile",), "bundle.no-model"),
        (("Dockerfile", "model"), "bundle.no-model"),
        (("mnist/a",), "bundle.no-model"),
        (("Dockerfile", "model/train"), "bundle.no-requirements"),
        (("Dockerfile", "model/requirements.txt"), "bundle.no-train"),
        (("a/Dockerfile", "a/model/train", "b/c"), "bundle.several-roots"),
    ],
)
def test_what_is_missing_is_named(paths: tuple[str, ...], code: str) -> None:
    with pytest.raises(Reject) as reason:
        source_root(entries(*paths))
    assert reason.value.code == code
