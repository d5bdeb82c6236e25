"""What a dry run foresees happens; by force the same is trained again; a model knows what it was made from."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.e2e.conftest import User


def states(run: Any) -> list[str]:
    return sorted(trial["state"] for trial in run["trials"])


def test_what_a_dry_run_foresees_happens(user: User) -> None:
    bundles = ("-s", user.source(), "-d", user.data(1))

    def foreseen(*more: str) -> tuple[str, int, int, str]:
        told = user.json("train", "deploy", *bundles, *more, "--dry-run")
        return told["image"], told["trials"], told["done"], told["same_as"]

    assert foreseen("-h", user.params(add=[1, 2])) == ("build", 2, 0, "")
    assert user.json("train", "list")["runs"] == []
    first = user.deploy(*bundles, "-h", user.params(add=[1, 2]), "--author", "Ada")
    assert (first["author"], states(first)) == ("Ada", ["succeeded"] * 2)

    assert foreseen("-h", user.params(add=[1, 2])) == ("built", 2, 2, first["id"])
    adopted = user.deploy(*bundles, "-h", user.params(add=[1, 2]))
    assert adopted["same_as"] == first["id"]

    assert foreseen("-h", user.params(add=[1, 2, 3])) == ("built", 3, 2, "")
    assert states(user.deploy(*bundles, "-h", user.params(add=[1, 2, 3]))) == ["skipped", "skipped", "succeeded"]

    assert foreseen("-h", user.params(add=[1, 2, 3]), "--force") == ("built", 3, 0, "")
    assert states(user.deploy(*bundles, "-h", user.params(add=[1, 2, 3]), "--force")) == ["succeeded"] * 3

    drawn = ("-h", user.params(add=[*range(100)]), "--search", "random", "--trials", "2", "--seed", "7")
    assert foreseen(*drawn)[:3] == ("built", 2, 0)
    searched = user.deploy(*bundles, *drawn)
    assert (states(searched), user.deploy(*bundles, *drawn)["same_as"]) == (["succeeded"] * 2, searched["id"])


def test_a_model_knows_its_code_and_data_and_whose_they_were(user: User, tmp_path: Path) -> None:
    first = user.deploy("-s", user.source(), "-d", user.data(1), "--author", "Ada")
    second = user.deploy("-d", user.data(2), "-h", user.params(add=[1]), "--author", "Grace")
    [trial] = second["trials"]
    told = json.loads(user.kaos("train", "provenance", "-m", trial["model"], "--format", "json"))
    nodes = {node["kind"]: node for node in told["nodes"]}
    assert [nodes[kind]["facts"]["author"] for kind in ("source", "data", "params", "training")] == [
        "Ada",
        *["Grace"] * 3,
    ]
    assert nodes["source"]["label"] == f"/{second['inputs']['source']}"
    assert nodes["source"]["facts"]["commit"] == first["parts"]["source"]["commit"]
    assert nodes["data"]["facts"]["commit"] == second["parts"]["data"]["commit"]
    assert nodes["build"]["label"] == first["build"]["job"]
    assert nodes["training"]["label"] == second["train"]["job"]
    user.kaos("train", "provenance", "-m", trial["model"], "-o", str(tmp_path / "lineage.svg"))
    assert ET.parse(tmp_path / "lineage.svg").getroot().tag.endswith("svg")
