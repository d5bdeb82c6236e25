"""kaos train deploy --dry-run: what it asks, what it tells, and that it uploads nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.bundles import bundle_id
from shared.grids import canonical, digest_of
from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, run_id

SEEN = {"kind": "data", "bundle": "features:9fd9d03", "size": 1500, "cached": True}
INPUTS = {"source": "mnist:e23a2f1", "data": "features:9fd9d03", "params": "", "image": "1" * 64}


@pytest.fixture
def answering(gateway: Gateway) -> Gateway:
    gateway.preview = {
        "workspace_exists": True,
        "parts": [SEEN],
        "inputs": INPUTS,
        "image": "newest",
        "trials": 6,
        "done": 2,
        "same_as": "",
    }
    return gateway


def test_hashes_are_those_that_the_bundles_will_have(
    answering: Gateway, call: Call, source: Path, data: Path, tmp_path: Path
) -> None:
    params = tmp_path / "grid.json"
    params.write_text('{"degree": [3, 3, 4]}')
    parts = ("-s", source, "-d", data, "-h", params, "-w", "mnist")

    assert call("train", "deploy", *parts, "--dry-run", "--cpu", "2", "--force").code == 0
    [plan] = answering.plans
    assert (plan["options"], plan["force"]) == ({"cpu": 2.0}, True)
    assert (answering.submissions, answering.stored) == ([], {})
    told = call("train", "deploy", *parts).out
    for part in plan["parts"]:
        name = part["filename"].removesuffix(".tar.zst").removesuffix(".json")
        assert f"/{bundle_id(name, part['tree'])}" in told
    assert plan["parts"][2]["trials"] == sorted(digest_of(canonical({"degree": degree})) for degree in (3, 4))


def test_what_would_happen_is_told(answering: Gateway, call: Call, data: Path) -> None:
    out = call("train", "deploy", "-d", data, "-w", "mnist", "--dry-run").out

    for text in ("/features:9fd9d03", "1.5 kB", "yes", "the workspace's newest, /mnist:e23a2f1", "4 to train, 2 done"):
        assert text in out


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"workspace_exists": False}, "would be made"),
        ({"image": "build"}, "would be built"),
        ({"image": "built"}, "built already"),
        ({"image": "missing"}, "-s SOURCE_DIR"),
        ({"inputs": {**INPUTS, "data": ""}}, "-d DATA_DIR"),
        ({"same_as": run_id(3)}, f"run {run_id(3)} has trained the same"),
    ],
)
def test_each_answer_has_its_words(
    answering: Gateway, call: Call, data: Path, changed: dict[str, Any], text: str
) -> None:
    answering.preview |= changed

    assert text in call("train", "deploy", "-d", data, "-w", "mnist", "--dry-run").out


def test_json_is_what_the_gateway_told_and_the_bytes(answering: Gateway, call: Call, data: Path, home: Path) -> None:
    told = json.loads(call("train", "deploy", "-d", data, "--dry-run", "--json").out)

    assert {**answering.preview, "workspace": "default"}.items() <= told.items()
    assert told["upload_bytes"] > 0
    assert not (home / "cli.json").exists(), "a dry run sets no workspace"


@pytest.mark.parametrize(("cached", "text"), [(False, "2 files at most, 1.5 kB and 1 of unknown size"), (True, "none")])
def test_what_a_manifest_has_fetched_is_told(
    answering: Gateway, call: Call, tmp_path: Path, cached: bool, text: str
) -> None:
    manifest = tmp_path / "remote.mf"
    manifest.write_text(
        '{"url": "https://example.org/a", "path": "a", "size": 1500}\n{"url": "https://example.org/b", "path": "b"}\n'
    )
    answering.preview["parts"] = [SEEN | {"kind": "manifest", "cached": cached}]

    deploy = ("train", "deploy", "-m", manifest, "-w", "mnist", "--dry-run")
    assert f"Download: {text}" in call(*deploy).out
    assert json.loads(call(*deploy, "--json").out)["download"] == {"files": 2, "size": 1500, "unsized": 1}
