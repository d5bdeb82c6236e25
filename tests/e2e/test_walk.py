"""The user's own document, sentence by sentence, with the template it names: one person, one workspace, one sitting."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import User


@pytest.fixture
def mnist(user: User) -> User:
    """Somebody who has just typed `kaos template get --name mnist`."""
    user.kaos("template", "get", "--name", "mnist")
    return user


def test_the_document(mnist: User, tmp_path: Path) -> None:
    first = _quick_start(mnist)
    _incremental_training(mnist, first)
    grid = _hyperparameters(mnist)
    _data_manifest(mnist)
    _debugging(mnist)
    _killing(mnist)
    _reproducibility(mnist, grid, tmp_path)


def _quick_start(user: User) -> Any:
    """Source + data = trained model; progress in `train list`, logs of both stages in `train logs`."""
    user.kaos("train", "deploy", "-s", "mnist/model-train", "-d", "mnist/data")
    run = user.ended()
    assert run["state"] == "succeeded", run["error"]
    listed = user.kaos("train", "list")
    assert "TRAINING" in listed
    assert run["train"]["job"] in listed
    assert "built mnist@sha256:" in user.kaos("train", "build-logs", "-i", "0")
    assert "accuracy_test: 0.98" in user.kaos("train", "logs", "-i", "0")
    [trial] = run["trials"]
    assert trial["metrics"]["accuracy_validation"] > 0.97
    return run


def _incremental_training(user: User, before: Any) -> None:
    """Change the code, keep the data; change the data, keep the code: versions are not the user's business."""
    params = user.home / "mnist" / "model-train" / "mnist" / "model" / "params.json"
    params.write_text(json.dumps({**json.loads(params.read_text()), "degree": 2}))
    code = user.deploy("-s", "mnist/model-train")
    assert code["inputs"]["data"] == before["inputs"]["data"]
    assert code["inputs"]["source"] != before["inputs"]["source"]
    assert "(cached)" in user.kaos("train", "build-logs", "-i", "0")  # the environment did not change
    [table] = (user.home / "mnist" / "data").glob("**/training_mini.csv")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:600]))
    data = user.deploy("-d", "mnist/data")
    assert data["inputs"]["source"] == code["inputs"]["source"]
    assert data["build"]["job"] == ""
    assert "training on 600 images" in user.kaos("train", "logs", "-i", "0")


def _hyperparameters(user: User) -> Any:
    """Every combination, in parallel, a model each; `info -s` sorts them."""
    run = user.deploy("-h", "mnist/hyperopt/params.json", "-p", "2", "--cpu", "1", "--memory", "1Gi")
    assert run["state"] == "succeeded", run["error"]
    assert {(trial["params"]["degree"], trial["params"]["decision_function_shape"]) for trial in run["trials"]} == {
        (degree, shape) for degree in (3, 4, 5) for shape in ("ovo", "ova")
    }
    scores = [
        trial["metrics"]["accuracy_test"] for trial in user.json("train", "info", "-s", "accuracy_test")["trials"]
    ]
    assert scores == sorted(scores, reverse=True)
    return run


def _data_manifest(user: User) -> None:
    """Remote data: the files appear below training, test and validation."""
    run = user.deploy("-m", "mnist/data_manifest_micro/data.mf")
    assert run["state"] == "succeeded", run["error"]
    user.kaos("train", "get", "-i", "0", "-d", "-o", "remote")
    names = {path.parent.name for path in (user.home / "remote").glob("**/*.csv")}
    assert names == {"training", "test", "validation"}


def _debugging(user: User) -> None:
    """A mistake in train: the log says where, and mending it is one more deploy."""
    train = user.home / "mnist" / "model-train" / "mnist" / "model" / "train"
    good = train.read_text()
    train.write_text(good.replace("def train(output):\n", 'def train(output):\n    raise RuntimeError("a slip")\n'))
    broken = user.call("train", "deploy", "-s", "mnist/model-train", "--follow")
    assert broken.returncode == 1
    assert "RuntimeError: a slip" in user.kaos("train", "logs", "-i", "0")
    assert "a slip" in user.newest()["error"]["message"]
    train.write_text(good)
    assert user.deploy("-s", "mnist/model-train")["state"] == "succeeded"


def _killing(user: User) -> None:
    """A run that is of no use any more is ended; one that has ended says so."""
    user.kaos("train", "deploy", "-h", "mnist/hyperopt/params.json", "--force")
    assert user.json("train", "kill", "-i", "0")["state"] == "killed"
    over = user.call("train", "kill", "-i", "1")
    assert over.returncode == 1
    assert "succeeded" in over.stderr


def _reproducibility(user: User, grid: Any, folder: Path) -> None:
    """Where a model comes from, and the very same from what `get` brings back."""
    model = grid["trials"][0]["model"]
    told = user.kaos("train", "provenance", "-m", model)
    for part in ("source", "data", "params"):
        assert grid["inputs"][part] in told
    user.kaos("train", "get", "-r", grid["id"], "-c", "-d", "-o", str(folder))
    [dockerfile] = folder.glob("**/Dockerfile")
    [training] = folder.glob("**/training")
    same = user.deploy("-s", str(dockerfile.parent), "-d", str(training.parent), "-h", "mnist/hyperopt/params.json")
    assert same["inputs"]["source"] == grid["inputs"]["source"]
    assert same["inputs"]["data"] == grid["inputs"]["data"]
    done = [trial["metrics"]["accuracy_test"] for trial in same["trials"]]
    assert sorted(done) == sorted(trial["metrics"]["accuracy_test"] for trial in grid["trials"])
