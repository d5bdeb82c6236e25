"""A dropped bundle becomes a trained model: by the command line, by any S3 client, and in the user's own order."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.e2e.conftest import DOCKERFILE, TRAIN, User

FILES = {"mine/Dockerfile": DOCKERFILE, "mine/model/requirements.txt": "", "mine/model/train": TRAIN}


def archive(kind: str) -> bytes:
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as file:
            for name, text in FILES.items():
                file.writestr(name, text)
        return packed.getvalue()
    with tarfile.open(fileobj=packed, mode="w:gz" if kind == "tar.gz" else "w") as tar:
        for name, text in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    content = packed.getvalue()
    return zstandard.compress(content) if kind == "tar.zst" else content


def test_source_and_data_become_a_model_with_metrics_log_and_lineage(user: User, tmp_path: Path) -> None:
    shown = user.kaos("train", "deploy", "-s", user.source(), "-d", user.data(41), "--follow")
    assert "succeeded" in shown
    run = user.newest()
    [trial] = run["trials"]
    assert trial["metrics"] == {"number": 41, "loss": -41}
    assert run["inputs"]["source"].startswith("mine:")
    assert run["inputs"]["data"].startswith("numbers:")
    assert trial["model"].startswith(run["inputs"]["source"].partition(":")[2])
    assert "number 41" in user.kaos("train", "logs", "-i", "0")
    assert "built mine@sha256:" in user.kaos("train", "build-logs", "-i", "0")
    user.kaos("train", "get", "-i", "0", "-o", str(tmp_path))
    [model] = tmp_path.glob("**/model.txt")
    assert model.read_text() == "41"
    assert trial["cpu_seconds"] is not None
    assert all(run[stage]["started"] and run[stage]["finished"] for stage in ("build", "train"))


def test_what_get_brought_back_is_the_same_bundle(user: User, tmp_path: Path) -> None:
    before = user.deploy("-s", user.source(), "-d", user.data(7))
    user.kaos("train", "get", "-i", "0", "-c", "-d", "-o", str(tmp_path))
    [code] = (path.parent for path in tmp_path.glob("**/Dockerfile"))
    [data] = (path.parent for path in tmp_path.glob("**/number.txt"))
    after = user.deploy("-s", str(code), "-d", str(data))
    assert after["inputs"] == before["inputs"]
    assert after["same_as"] == before["id"]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.zst"])
def test_any_archive_that_any_s3_client_drops_is_a_submission(user: User, s3: Any, kind: str) -> None:
    user.kaos("train", "deploy", "-d", user.data(3))
    s3.put_object(Bucket="kaos-inbox", Key=f"{user.workspace}/source/mine.{kind}", Body=archive(kind))
    run = _until(user, lambda run: run["inputs"]["source"].startswith("mine:"))
    assert run["trials"][0]["metrics"]["number"] == 3


def test_inputs_are_sticky_and_come_in_any_order(user: User) -> None:
    """Each run that lacked something is trained as soon as that is there; later ones use the newest of the rest."""
    user.kaos("train", "deploy", "-d", user.data(1))
    waiting = _until(user, lambda run: run["state"] == "waiting")
    first = user.deploy("-s", user.source())
    assert first["trials"][0]["metrics"]["number"] == 1
    assert user.ended(waiting["id"])["state"] == "succeeded"
    second = user.deploy("-d", user.data(2))
    assert second["trials"][0]["metrics"]["number"] == 2
    assert second["inputs"]["source"] == first["inputs"]["source"]
    assert second["build"]["job"] == ""
    third = user.deploy("-h", user.params(add=[10]))
    assert third["trials"][0]["metrics"]["number"] == 12
    plain = user.deploy("-d", user.data(5))
    assert plain["trials"][0]["metrics"]["number"] == 5


def test_a_grid_is_a_trial_a_combination_and_a_failing_one_stops_no_other(user: User) -> None:
    failing = TRAIN.replace('print("number", number)', 'print("number", number); assert number != 12, "twelve"')
    user.deploy("-s", user.source(failing), "-d", user.data(10))
    run = user.deploy("-h", user.params(add=[1, 2, 3]), "-p", "2")
    assert run["state"] == "failed"
    assert run["error"]["message"].startswith("2 of 3 trials succeeded")
    assert "twelve" in run["error"]["message"]
    assert sorted(trial["metrics"]["number"] for trial in run["trials"] if trial["model"]) == [11, 13]
    assert {trial["params"]["add"]: trial["state"] for trial in run["trials"]} == {
        1: "succeeded",
        2: "failed",
        3: "succeeded",
    }


def test_a_grid_with_one_value_more_runs_only_the_new_points(user: User) -> None:
    user.deploy("-s", user.source(), "-d", user.data(10))
    user.deploy("-h", user.params(add=[1, 2]))
    run = user.deploy("-h", user.params(add=[1, 2, 3]))
    assert {trial["params"]["add"]: trial["state"] for trial in run["trials"]} == {
        1: "skipped",
        2: "skipped",
        3: "succeeded",
    }
    assert all(trial["model"] for trial in run["trials"])


def test_the_same_again_starts_nothing_and_says_so(user: User) -> None:
    first = user.deploy("-s", user.source(), "-d", user.data(1))
    shown = user.kaos("train", "deploy", "-s", user.source(), "-d", user.data(1), "--follow")
    assert f"already trained: run {first['id']}" in shown
    again = user.newest()
    assert again["same_as"] == first["id"]
    assert again["trials"][0]["model"] == first["trials"][0]["model"]
    forced = user.deploy("-s", user.source(), "-d", user.data(1), "--force")
    assert forced["same_as"] == ""
    assert forced["trials"][0]["state"] == "succeeded"


def test_two_people_who_deploy_at_once_get_what_each_has_submitted(someone: Callable[[], User]) -> None:
    first = someone()
    first.deploy("-s", first.source(), "-d", first.data(1))
    runs = [first.json("train", "deploy", "-d", first.data(number))["run"] for number in (100, 200, 300)]
    numbers = [first.ended(run["id"])["trials"][0]["metrics"]["number"] for run in runs]
    assert numbers == [100, 200, 300]


def test_no_workspace_shows_another_s_things(someone: Callable[[], User]) -> None:
    one, other = someone(), someone()
    run = one.deploy("-s", one.source(), "-d", one.data(1))
    assert other.json("train", "list")["runs"] == []
    refused = other.call("train", "info", "-r", run["id"])
    assert refused.returncode == 1
    assert "no run" in refused.stderr


def test_an_old_bundle_of_the_original_runs_unchanged(user: User) -> None:
    """Its Dockerfile, its absolute paths, its output directory."""
    dockerfile = (
        "FROM python:3.7\nWORKDIR /opt/program\nCOPY . /opt/program/\nRUN chmod +x train\nENV PYTHONUNBUFFERED=TRUE\n"
        "RUN if [ -f /opt/program/requirements.txt ] ; then "
        "pip3 install --no-cache-dir -r /opt/program/requirements.txt ; fi\n"
    )
    run = user.deploy("-s", user.source(dockerfile=dockerfile), "-d", user.data(5))
    assert run["state"] == "succeeded", run["error"]


def _until(user: User, condition: Callable[[Any], bool]) -> Any:
    """The newest run, as soon as it is as wished and, unless it waits, over."""
    for _ in range(400):
        runs = user.json("train", "list")["runs"]
        if runs:
            found = user.newest()
            if condition(found) and (found["state"] == "waiting" or user.ended(found["id"])):
                return user.newest()
    raise AssertionError("it did not happen")
