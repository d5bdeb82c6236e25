"""A model's lineage as Pachyderm's commits tell it: who brought what, also under commits that others put on top."""

import json
from typing import Any

import pytest

RUN, EARLIER = "01jd0000000000000000000000", "01jc0000000000000000000000"
MODEL = "e23a2f1_9fd9d03:cebf65"
PATH = f"/v1/workspaces/mnist/models/{MODEL}/provenance"
TRAINED = {
    "state": "succeeded",
    "train": {"job": "j", "pipeline": "train-1", "started": "2026-11-25T10:00:00Z"},
    "inputs": {"source": "mnist:e23a2f1", "data": "features:9fd9d03", "image": "1" * 64},
}
TRIAL = {"id": "cebf65", "model": MODEL, "state": "succeeded", "metrics": {"accuracy": 0.98}}


def described(run: str, bundle: str) -> str:
    return json.dumps({"kaos-run": run, "kaos-bundle": bundle})


@pytest.fixture
async def trained(api: Any, tree: Any) -> Any:
    """A run of new data on the code of an earlier run, whose author was another."""
    tree.provenance |= {
        ("train-1", "j"): [("build", "b"), ("data", "d"), ("params", "p")],
        ("build", "b"): [("source", "s2")],
        ("source", "s2"): [],
        ("source", "s"): [],
        ("data", "d"): [],
        ("params", "p"): [],
    }
    tree.descriptions |= {
        ("source", "s"): described(EARLIER, "mnist:e23a2f1"),
        ("data", "d"): described(RUN, "features:9fd9d03"),
    }
    tree.parents["source", "s2"] = "s"
    await api.a_run(id=EARLIER, author="ada", state="failed")
    await api.a_run(**TRAINED, author="grace", trials=[TRIAL | {"params": {"degree": 3}}])
    return api


async def test_each_bundle_has_its_author_and_its_own_commit(trained: Any) -> None:
    status, told = await trained.ask("GET", PATH)
    assert (status, told["model"], told["run"]) == (200, MODEL, RUN)
    nodes = {node["kind"]: node for node in told["nodes"]}
    assert nodes["source"]["facts"] == {"author": "ada", "commit": "s", "run": EARLIER}
    assert nodes["data"]["facts"] == {"author": "grace", "commit": "d", "run": RUN}
    assert nodes["training"]["facts"]["author"] == "grace"
    assert nodes["params"]["label"] == "degree=3"
    assert nodes["model"]["facts"] == {"accuracy": "0.98"}
    assert told["edges"] == [
        *(["source", "build"], ["build", "image"], ["image", "training"], ["data", "training"]),
        *(["params", "training"], ["training", "trial"], ["trial", "model"]),
    ]


async def test_fetched_data_leads_to_its_manifest(trained: Any, tree: Any) -> None:
    tree.provenance["train-1", "j"] = [("build", "b"), ("fetch-features-0000000", "f"), ("params", "p")]
    tree.provenance |= {("fetch-features-0000000", "f"): [("manifest", "m")], ("manifest", "m"): []}
    tree.descriptions["manifest", "m"] = described(RUN, "features:9fd9d03")
    _, told = await trained.ask("GET", PATH)
    assert {("manifest", "fetch"), ("fetch", "data")} <= {tuple(edge) for edge in told["edges"]}
    [manifest] = [node for node in told["nodes"] if node["kind"] == "manifest"]
    assert (manifest["label"], manifest["facts"]["commit"]) == ("/features:9fd9d03", "m")


async def test_of_several_runs_the_one_that_trained_the_model_counts_unless_another_is_named(trained: Any) -> None:
    later = "01je0000000000000000000000"
    await trained.a_run(id=later, **TRAINED, trials=[TRIAL | {"state": "skipped"}])
    assert (await trained.ask("GET", PATH))[1]["run"] == RUN
    assert (await trained.ask("GET", f"{PATH}?run={later}"))[1]["run"] == later


async def test_what_is_deleted_upstream_is_left_out(trained: Any, tree: Any) -> None:
    del tree.provenance["build", "b"]
    _, told = await trained.ask("GET", PATH)
    kinds = [node["kind"] for node in told["nodes"]]
    assert "source" not in kinds
    assert "build" in kinds


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/workspaces/mnist/models/none/provenance", "model.unknown"),
        (f"{PATH}?run={EARLIER}", "model.unknown"),
        (f"{PATH}?run=01jx0000000000000000000000", "run.unknown"),
        (f"/v1/workspaces/nowhere/models/{MODEL}/provenance", "workspace.unknown"),
    ],
)
async def test_what_is_unknown(trained: Any, path: str, code: str) -> None:
    status, answer = await trained.ask("GET", path)
    assert (status, answer["error"]["code"]) == (404, code)


async def test_an_output_that_pachyderm_has_lost(trained: Any, tree: Any) -> None:
    tree.provenance.clear()
    status, answer = await trained.ask("GET", PATH)
    assert (status, answer["error"]["code"]) == (404, "files.unknown")
