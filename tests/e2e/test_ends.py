"""kaos train kill and retry: nothing is left running or half-made, and only what failed is done again."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.conftest import BOUND, DOCKERFILE, TRAIN, User

# Names its processes by the folder's number, so that a test finds its own among those of this machine.
SLEEPS = """#!/bin/sh
echo waiting
mkdir -p "$1/model"; echo half > "$1/model/half.txt"
sleep {seconds}
"""
FLAKY = TRAIN.replace("number =", "assert not params.get('fail')\nnumber =")


def until(condition: Callable[[], Any], bound: float = BOUND) -> Any:
    deadline = time.monotonic() + bound
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)  # the command line is asked again and again, as a person would
    return found


def sleeping(seconds: str) -> list[Path]:
    """The processes of a `sleep` of just so many seconds."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(path)
        except OSError:
            continue
    return found


def state(user: User) -> str:
    return str(user.newest()["state"])


def test_a_training_is_killed_and_what_it_said_is_kept(user: User) -> None:
    seconds = "3600.125"
    user.kaos("train", "deploy", "-s", user.source(SLEEPS.format(seconds=seconds)), "-d", user.data())
    until(lambda: sleeping(seconds))
    killed = user.json("train", "kill", "-i", "0")
    assert (killed["state"], killed["error"]["code"]) == ("killed", "run.killed")
    until(lambda: not sleeping(seconds), bound=2.0)
    # Its log is complete when its stage is.
    assert "waiting" in user.call("train", "logs", "-i", "0", "-f").stdout
    run = until(lambda: (found := user.newest()) and found["train"]["finished"] and found)
    assert (run["state"], run["train"]["state"]) == ("killed", "killed")
    assert [(trial["state"], trial["model"]) for trial in run["trials"]] == [("killed", "")]
    assert "model.none" in user.call("train", "get", "-i", "0", "-m").stderr
    again = user.call("train", "deploy", "--dry-run", "-d", user.data())
    assert "1 to train" in again.stdout


def test_a_build_is_killed(user: User) -> None:
    seconds = "3600.25"
    user.kaos("train", "deploy", "-s", user.source(dockerfile=f"{DOCKERFILE}RUN sleep {seconds}\n"), "-d", user.data())
    until(lambda: sleeping(seconds))
    build = user.newest()["build"]["job"]
    user.kaos("train", "kill", "-j", build)
    until(lambda: not sleeping(seconds), bound=2.0)
    run = until(lambda: (found := user.newest()) and found["build"]["finished"] and found)
    assert (run["state"], run["build"]["state"], run["train"]["job"]) == ("killed", "killed", "")
    assert "It was killed while its image was built." in run["error"]["message"]
    assert "sleep" in user.kaos("train", "build-logs", "-j", build)


def test_a_run_that_waits_is_killed_and_does_not_wake(user: User) -> None:
    user.kaos("train", "deploy", "-d", user.data())
    until(lambda: state(user) == "waiting")
    waiting = user.newest()["id"]
    user.kaos("train", "kill", "-i", "0")
    assert user.deploy("-s", user.source())["state"] == "succeeded"
    assert user.json("train", "info", "-r", waiting)["state"] == "killed"


def test_what_is_over_can_t_be_killed_and_what_succeeded_not_retried(user: User) -> None:
    run = user.deploy("-s", user.source(), "-d", user.data())
    assert run["state"] == "succeeded"
    assert "[run.final]" in user.call("train", "kill", "-i", "0").stderr
    assert "[run.succeeded]" in user.call("train", "retry", "-i", "0").stderr
    assert "[run.unknown]" in user.call("train", "kill", "-r", "0" * 26).stderr


def test_a_retry_trains_the_trials_that_failed_and_takes_over_the_others(user: User) -> None:
    failed = user.deploy("-s", user.source(FLAKY), "-d", user.data(), "-h", user.params(add=[1, 2], fail=[0, 1]))
    assert (failed["state"], len([trial for trial in failed["trials"] if trial["model"]])) == ("failed", 2)
    # What came since is not what failed: the retry is of the failed run's own bundles.
    user.deploy("-s", user.source(), "-d", user.data(5), "-h", user.params(add=[7]))
    user.call("train", "retry", "-r", failed["id"], "--author", "Ada", "--follow")
    again = user.newest()
    assert (again["retry_of"], again["author"], again["inputs"]) == (failed["id"], "Ada", failed["inputs"])
    assert sorted(trial["state"] for trial in again["trials"]) == ["failed", "failed", "skipped", "skipped"]
    models = [{trial["model"] for trial in run["trials"]} for run in (failed, again)]
    assert models[0] == models[1]
    # The workspace's newest image and data are still those that came last.
    assert user.deploy("-h", user.params(add=[8]))["trials"][0]["metrics"]["number"] == 13


def test_a_killed_training_is_retried_on_the_image_there_is(user: User) -> None:
    seconds = "3600.5"
    once = f'[ -e /pfs/hyper/*.json ] && grep -q true /pfs/hyper/*.json && sleep {seconds}\nmkdir -p "$1/model"\n'
    user.kaos(
        *("train", "deploy", "-s", user.source(f'#!/bin/sh\n{once}echo 1 > "$1/model/m"\n')),
        *("-d", user.data(), "-h", user.params(wait=[True, False]), "--force"),
    )
    until(lambda: sleeping(seconds))
    killed = user.json("train", "kill", "-i", "0")
    retried = user.json("train", "retry", "-i", "0")["run"]
    until(lambda: sleeping(seconds))
    user.kaos("train", "kill", "-r", retried["id"])
    run = until(lambda: (found := user.newest()) and found["train"]["finished"] and found)
    assert (run["build"]["job"], run["train"]["pipeline"]) == (killed["build"]["job"], killed["train"]["pipeline"])
    until(lambda: not sleeping(seconds), bound=2.0)


def test_a_failed_build_is_built_again(user: User) -> None:
    failed = user.deploy("-s", user.source(dockerfile=f"{DOCKERFILE}RUN exit 9\n"), "-d", user.data())
    assert (failed["state"], failed["train"]["job"]) == ("failed", "")
    user.call("train", "retry", "-i", "0", "--follow")
    again = user.newest()
    assert (again["state"], again["retry_of"], again["error"]) == ("failed", failed["id"], failed["error"])
    assert again["build"]["job"] not in {"", failed["build"]["job"]}


def test_what_was_never_stored_can_t_be_retried(user: User) -> None:
    folder = Path(user.source())
    (folder / "model" / "train").unlink()
    (folder / "model" / "train").mkdir()
    (folder / "model" / "train" / "x").write_text("")
    run = user.deploy("-s", str(folder), "-d", user.data())
    assert run["state"] == "rejected"
    assert "[run.retry]" in user.call("train", "retry", "-i", "0").stderr


def test_one_trial_is_killed_and_the_others_become_models(user: User) -> None:
    seconds = "3600.375"
    endless = (
        f"import os\nif params.get('add') == 2: print('waits', flush=True); os.execvp('sleep', ['sleep', '{seconds}'])"
    )
    user.deploy("-s", user.source(TRAIN.replace("number =", f"{endless}\nnumber =")), "-d", user.data(10))
    user.kaos("train", "deploy", "-h", user.params(add=[1, 2, 3]), "-p", "3")
    until(lambda: sleeping(seconds))
    trial = until(lambda: _who_said(user, "waits"))

    user.kaos("train", "kill", "-i", "0", "--trial", trial)

    until(lambda: not sleeping(seconds), bound=2.0)
    run = user.ended()
    assert run["error"]["message"].startswith("2 of 3 trials succeeded")
    assert "killed by its user" in run["error"]["message"]
    assert sorted(each["metrics"]["number"] for each in run["trials"] if each["model"]) == [11, 13]
    over = user.call("train", "kill", "-i", "0", "--trial", trial)
    assert over.returncode == 1
    assert "trial.final" in over.stderr


def _who_said(user: User, text: str) -> str:
    """The trial that printed it."""
    lines = map(json.loads, user.kaos("train", "logs", "-i", "0", "--json").splitlines())
    return next((str(line["trial"]) for line in lines if line["text"] == text), "")
