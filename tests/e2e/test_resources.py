"""What a trial may use of the machine: refused where it can never be, waited for, kept to, and told."""

import os
from itertools import pairwise

import pytest

from kaos.pachd.runtimes.cgroups import usable
from tests.e2e.conftest import User

MIB = 2**20
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
TRAIN = """#!/usr/bin/env python3
import json, pathlib, sys, time
out = pathlib.Path(sys.argv[1])
(out / "model").write_text("1")
begin = time.time()
{work}
print(json.dumps({{"kaos": {{"begin": begin, "end": time.time()}}}}))
"""
BURNS = TRAIN.format(work="while time.time() < begin + 2: pass")
SLEEPS = TRAIN.format(work="time.sleep(0.5)")
EATS = TRAIN.format(work="x = b'x' * 300_000_000")


@pytest.fixture
def needs_limits() -> None:
    if lacking := usable("kaos-e2e-").lacking:
        pytest.skip(f"the cgroups of this machine can't be written: {lacking}")


@pytest.mark.usefixtures("needs_limits")
def test_a_trial_gets_no_more_of_the_processors_than_it_asked_for(user: User) -> None:
    run = user.deploy("-s", user.source(BURNS), "-d", user.data(), "--cpu", "0.5")
    [trial] = run["trials"]
    assert (run["state"], run["options"]["cpu"]) == ("succeeded", 0.5)
    assert trial["seconds"] > 2
    assert trial["cpu_seconds"] < 0.7 * trial["seconds"]
    shown = user.kaos("train", "info")
    for name in ("time", "cpu", "memory"):
        assert name in shown


@pytest.mark.usefixtures("needs_limits")
def test_a_trial_that_needs_more_memory_is_ended_and_told_what_it_asked_for(user: User) -> None:
    source, data = user.source(EATS), user.data()
    run = user.deploy("-s", source, "-d", data, "--memory", "64Mi")
    [trial] = run["trials"]
    assert (run["state"], run["error"]["code"]) == ("failed", "train.out-of-memory")
    assert "used more than --memory 64Mi: its peak was " in run["error"]["message"]
    assert 32 * MIB < trial["peak_bytes"] <= 64 * MIB
    run = user.deploy("-s", source, "-d", data, "--memory", "1Gi")
    assert run["state"] == "succeeded", run["error"]
    assert run["trials"][0]["peak_bytes"] > 300_000_000


def test_trials_that_do_not_fit_side_by_side_run_one_after_the_other(user: User) -> None:
    most = f"{int(MACHINE * 0.6) // MIB}Mi"
    run = user.deploy(
        *("-s", user.source(SLEEPS), "-d", user.data(), "-h", user.params(n=[1, 2, 3])), *("-p", "3", "--memory", most)
    )
    assert run["state"] == "succeeded", run["error"]
    times = sorted((trial["metrics"]["begin"], trial["metrics"]["end"]) for trial in run["trials"])
    assert all(end <= begin for (_, end), (begin, _) in pairwise(times))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--cpu", "1000"), "options.cpu"),
        (("--memory", "30Ti"), "options.memory"),
        (("--memory", "1e9Gi"), "options.memory"),
        (("--memory", "512m"), "options.memory"),
        (("--gpu", "16"), "options.gpu"),
    ],
)
def test_what_this_machine_can_never_give_is_refused_at_once(user: User, options: tuple[str, str], code: str) -> None:
    refused = user.call("train", "deploy", "-d", user.data(), *options)
    assert refused.returncode == 1
    assert f"[{code}]" in refused.stderr
    assert user.json("train", "list")["runs"] == []
