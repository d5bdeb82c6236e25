"""Templates: whole, consistent in themselves, and as kaos wants bundles and manifests to be."""

import hashlib
import json
import re
from io import BytesIO
from pathlib import Path

import pytest

from functions.ingest import manifest as ingest
from functions.ingest.packed import Packed
from kaos import templates
from kaos.cli import bundle
from kaos.stack import servers
from kaos.templates import datasets
from shared import manifests
from shared.errors import Conflict, NotFound
from shared.manifests import Line
from shared.settings import Settings

NAMES = [*templates.every()]
PARTS = ("test", "training", "validation")


@pytest.fixture
def made(name: str, tmp_path: Path) -> Path:
    return templates.get(name, tmp_path)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    return templates.get("mnist", tmp_path)


def lines(manifest: Path) -> list[Line]:
    return [line for _, line in manifests.read(manifest)]


@pytest.mark.parametrize("name", NAMES)
def test_every_template_is_a_source_data_and_a_grid_that_fit_together(made: Path, name: str) -> None:
    source = bundle.source(made / "model-train", "")
    data = bundle.data(made / "data", "")
    grid = bundle.params(made / "hyperopt" / "params.json")

    assert (source.name, data.name) == (name, "features")
    assert sorted(path.parent.name for path in data.path.glob("*/*.csv")) == sorted(PARTS)
    assert grid.space is not None
    assert grid.space.at(0).keys() <= json.loads((source.path / "model" / "params.json").read_text()).keys()
    assert grid.space.count == 6


@pytest.mark.parametrize("name", NAMES)
def test_every_template_tells_how_to_train_it_with_files_that_are_there(made: Path, name: str) -> None:
    commands = (made / "README.md").read_text()

    named = re.findall(rf"-[sdhm] ({name}/\S+)", commands)
    assert len(named) >= 3
    assert all((made.parent / path).exists() for path in named)


def test_templates_share_their_environment_which_is_pinned_whole(tmp_path: Path) -> None:
    """What has the same requirements is installed once."""
    found = {
        (templates.get(name, tmp_path) / "model-train" / name / "model" / "requirements.txt").read_text()
        for name in NAMES
    }

    [requirements] = found
    assert all(re.fullmatch(r"[a-z-]+==[0-9.]+", line) for line in requirements.splitlines())


def test_a_template_is_copied_where_nothing_is_replaced(mnist: Path) -> None:
    (mnist / "README.md").write_text("mine")

    with pytest.raises(Conflict, match="there already"):
        templates.get("mnist", mnist.parent)
    assert (mnist / "README.md").read_text() == "mine"


def test_an_unknown_template_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=", ".join(NAMES)):
        templates.get("property-val", tmp_path)


def test_the_remote_files_are_pieces_of_the_data(mnist: Path) -> None:
    files = dict(datasets.files())

    assert len(files) == 39
    for part in PARTS:
        pieces = [content for key, content in sorted(files.items()) if f"/{part}/" in key]
        [whole] = (mnist / "data" / "features" / part).glob("*.csv")
        assert b"".join(pieces) == whole.read_bytes()


def test_the_larger_manifest_names_every_remote_file_with_its_size_and_hash(mnist: Path) -> None:
    told = lines(mnist / "data_manifest_mid" / "data.mf")
    found = {line.url.removeprefix("s3://kaos-datasets/"): line for line in told}

    files = dict(datasets.files())
    assert found.keys() == files.keys()
    assert {key: (line.size, line.sha256) for key, line in found.items()} == {
        key: (len(content), hashlib.sha256(content).hexdigest()) for key, content in files.items()
    }


def test_the_smaller_manifest_names_two_files_of_each_part(mnist: Path) -> None:
    found = lines(mnist / "data_manifest_micro" / "data.mf")

    assert [line.path.partition("/")[0] for line in found] == [part for part in PARTS for _ in range(2)]
    assert {line.url.removeprefix("s3://kaos-datasets/") for line in found} <= dict(datasets.files()).keys()
    assert all(line.url.endswith(line.path) and not line.sha256 for line in found)


@pytest.mark.parametrize("size", ["micro", "mid"])
@pytest.mark.parametrize("operators", ["", "theirs"])
def test_a_stack_of_kaos_up_takes_the_manifests(
    mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str, operators: str
) -> None:
    """Whatever else the operator allows."""
    monkeypatch.setenv("KAOS_FETCH_BUCKETS", operators)
    rules = ingest.rules_of(Settings(fetch_buckets=servers._fetch_buckets()))

    assert rules.buckets == {"kaos-datasets", *operators.split()}
    text = (mnist / f"data_manifest_{size}" / "data.mf").read_bytes()
    (shards := tmp_path / "shards").mkdir()
    assert [*ingest.read("data", Packed(len(text), lambda: BytesIO(text)), shards, rules, []).files()]
