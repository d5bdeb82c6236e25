"""Metrics while a training goes on, from plain scripts; and what a trial may use of the machine, and has used."""

import json
from typing import Any

from tests.e2e.conftest import User
from tests.e2e.test_ends import until

# Each waits for a word from outside, which no training has: for the file that a test puts where only it can.
PRINTS = """#!/bin/sh
mkdir -p "$1/model"; echo 1 > "$1/model/m"
echo '{{"kaos": {{"loss": 0.5, "note": "begun", "step": 1}}}}'
echo 'not {{"kaos": {{"loss": 7}}}}'
sleep {seconds}
echo '{{"kaos": {{"loss": 0.25, "step": 2}}}}'
"""
WRITES = """#!/usr/bin/env python3
import json, pathlib, sys, time
out = pathlib.Path(sys.argv[1])
(out / "metrics").mkdir(parents=True)
(out / "model").write_text("1")
print(json.dumps({"kaos": {"loss": 9, "printed": 1}}), flush=True)
for loss in (3, 2):
    (out / "metrics" / "metrics.json").write_text(json.dumps({"loss": loss}))
    time.sleep(2.5)
(out / "metrics" / "metrics.json").write_text(json.dumps({"loss": 1, "accuracy": 0.9}))
"""


def live(user: User) -> Any:
    """The trials of a run that goes on, once they have metrics."""
    run = user.newest()
    assert run["state"] not in {"succeeded", "failed"}, run["error"]
    return run["trials"]


def metrics_of(user: User, run: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in user.kaos("events", "-r", run, "--json").splitlines()]
    return [event["data"] for event in told if event["type"] == "kaos.metrics.reported"]


def test_what_a_script_prints_is_shown_while_it_runs_and_kept(user: User) -> None:
    user.kaos("train", "deploy", "-s", user.source(PRINTS.format(seconds=6)), "-d", user.data())
    [trial] = until(lambda: live(user))
    assert (trial["state"], trial["metrics"], trial["step"]) == ("running", {"loss": 0.5, "note": "begun"}, 1)
    run = user.newest()["id"]
    assert "loss 0.5, note begun" in user.kaos("train", "info", "-r", run)
    assert [(data["seq"], data["metrics"]) for data in metrics_of(user, run)] == [(0, {"loss": 0.5, "note": "begun"})]
    ended = user.ended(run)
    assert ended["state"] == "succeeded"
    [trial] = ended["trials"]
    assert (trial["metrics"], trial["step"]) == ({"loss": 0.25, "note": "begun"}, 2)
    assert [data["seq"] for data in metrics_of(user, run)] == [0, 1]
    assert trial["seconds"] > 6


def test_a_file_that_is_rewritten_is_shown_too_and_counts_in_the_end(user: User) -> None:
    user.kaos("train", "deploy", "-s", user.source(WRITES), "-d", user.data())
    until(lambda: any(trial["metrics"].get("loss") == 3 for trial in live(user)))
    until(lambda: any(trial["metrics"].get("loss") == 2 for trial in live(user)))
    run = user.ended()
    assert run["trials"][0]["metrics"] == {"loss": 1, "accuracy": 0.9, "printed": 1}
    told = [data["metrics"] for data in metrics_of(user, run["id"])]
    assert {"loss": 9, "printed": 1} in told
    assert [data["loss"] for data in told][-2:] == [3, 2]


def test_each_trial_of_a_grid_has_its_own_and_a_skipped_one_keeps_them(user: User) -> None:
    train = """#!/bin/sh
mkdir -p "$1/model"; echo 1 > "$1/model/m"
sed 's/.*"n":\\([0-9]*\\).*/{"kaos": {"n": \\1}}/' /pfs/hyper/*.json
"""
    source, data = user.source(train), user.data()
    run = user.deploy("-s", source, "-d", data, "-h", user.params(n=[1, 2, 3]))
    assert {trial["params"]["n"]: trial["metrics"] for trial in run["trials"]} == {n: {"n": n} for n in (1, 2, 3)}
    again = user.deploy("-h", user.params(n=[2, 3, 4]))
    assert sorted(trial["state"] for trial in again["trials"]) == ["skipped", "skipped", "succeeded"]
    assert {trial["params"]["n"]: trial["metrics"] for trial in again["trials"]} == {n: {"n": n} for n in (2, 3, 4)}


def test_a_training_that_floods_with_metrics_ends_well(user: User) -> None:
    train = """#!/usr/bin/env python3
import json, pathlib, sys
(pathlib.Path(sys.argv[1]) / "model").write_text("1")
for n in range(5_000):
    print(json.dumps({"kaos": {f"m{n % 3}": n, f"name-{n}-" + "x" * (n % 200): True, "nan": float("nan"), "step": n}}))
print(json.dumps({"kaos": {"\\ud800": 1, "big": 10**400, "last": "\\ud800"}}))
"""
    run = user.deploy("-s", user.source(train), "-d", user.data())
    assert run["state"] == "succeeded", run["error"]
    [trial] = run["trials"]
    assert {name: trial["metrics"][name] for name in ("m0", "m1", "m2", "nan")} == {
        "m0": 4998,
        "m1": 4999,
        "m2": 4997,
        "nan": "nan",
    }
    assert trial["omitted"]
    assert len(json.dumps(trial["metrics"])) < 20_000
    told = metrics_of(user, run["id"])
    assert len(told) < 2_000
    assert max(data["seq"] for data in told) >= 4_999
