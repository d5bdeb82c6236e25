"""The bundle is found where ingest, or a person, has put it."""

from pathlib import Path

import pytest

from functions.build.builder import context
from functions.build.builder.bundle import locate
from shared.errors import Reject

WHOLE = ("Dockerfile", "model/requirements.txt", "model/train")


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


@pytest.mark.parametrize("folder", ["mnist:e23a2f1", "mnist:e23a2f1/mnist"])
def test_a_bundle_is_known_by_its_folder_in_the_job(tmp_path: Path, folder: str) -> None:
    make(tmp_path / "source" / folder, *WHOLE)
    bundle = locate(tmp_path / "source")
    assert (bundle.id, bundle.name) == ("mnist:e23a2f1", "mnist")
    assert bundle.context == tmp_path / "source" / folder / "model"


def test_a_name_is_made_fit_for_an_image(tmp_path: Path) -> None:
    assert locate(make(tmp_path / "My Model_2", *WHOLE)).name == "my-model_2"
    assert locate(make(tmp_path / "模型", *WHOLE)).name == "source"


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (WHOLE[1:], "build.no-dockerfile"),
        (("Dockerfile",), "build.no-model"),
        (("Dockerfile", "model"), "build.no-model"),
        (("Dockerfile", "model/train"), "build.no-requirements"),
        (("Dockerfile", "model/requirements.txt"), "build.no-train"),
        (("a/x", "b/y"), "build.several-roots"),
        (("README",), "build.bundle-malformed"),
        (("__MACOSX/x", ".DS_Store"), "build.bundle-empty"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, paths: tuple[str, ...], code: str) -> None:
    with pytest.raises(Reject) as reason:
        locate(make(tmp_path / "bundle", *paths))
    assert reason.value.code == code


def test_programs_are_known_by_how_they_begin(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt", "sub/tool")
    (tmp_path / "train").write_text("#!/usr/bin/env python3\n")
    (tmp_path / "binary").write_bytes(b"\x7fELF\x02")
    found = context.read(tmp_path)
    assert {path for path, entry in found.items() if entry.executable and entry.digest} == {"train", "binary"}
    assert list(found) == ["binary", "notes.txt", "sub", "sub/tool", "train"]
