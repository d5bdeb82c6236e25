"""kaos train kill and retry: which run they mean, and what they answer."""

import json

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, job, record, run_id


@pytest.fixture
def two(gateway: Gateway) -> Gateway:
    """One that is being built, and before it one that failed."""
    gateway.add_workspace("mnist")
    gateway.runs = [
        record(2, "building", build=job("running", "b" * 32)),
        record(1, "failed", train=job("failed", "a" * 32)),
    ]
    return gateway


@pytest.mark.parametrize("option", [("-i", "0"), ("-r", run_id(2)), ("-j", "b" * 32)])
def test_a_run_is_killed_by_each_of_its_names(two: Gateway, call: Call, option: tuple[str, str]) -> None:
    result = call("train", "kill", "-w", "mnist", *option)

    assert result.code == 0, result.err
    assert f"Run {run_id(2)} is killed. It was killed while it was building." in result.out
    assert two.runs[0]["state"] == "killed"


@pytest.mark.parametrize("verb", ["kill", "retry"])
@pytest.mark.parametrize("options", [(), ("-i", "0", "-r", run_id(2)), ("-j", "b" * 32, "-r", run_id(2))])
def test_a_run_must_be_named_once(two: Gateway, call: Call, verb: str, options: tuple[str, ...]) -> None:
    assert call("train", verb, "-w", "mnist", *options).code == 2
    assert two.runs[0]["state"] == "building"


def test_what_is_over_and_what_is_unknown_are_clear_errors(two: Gateway, call: Call) -> None:
    over, unknown = (call("train", "kill", "-w", "mnist", "-r", run) for run in (run_id(1), run_id(9)))

    assert (over.code, unknown.code) == (1, 1)
    assert "run.final" in over.err
    assert "run.unknown" in unknown.err


def test_a_single_trial_is_killed_and_its_run_goes_on(two: Gateway, call: Call) -> None:
    result = call("train", "kill", "-w", "mnist", "-i", "0", "--trial", "cebf65")

    assert result.code == 0, result.err
    assert f"Trial cebf65 of run {run_id(2)} is killed; the others go on." in result.out
    assert two.killed_trials == ["cebf65"]
    assert two.runs[0]["state"] == "building"


def test_a_retry_is_a_new_run_and_names_the_old(two: Gateway, call: Call) -> None:
    result = call("train", "retry", "-w", "mnist", "-r", run_id(1), "--author", "Ada")

    assert result.code == 0, result.err
    assert f"Run {run_id(3)} does again what failed of run {run_id(1)}" in result.out
    assert f"kaos train logs -f -r {run_id(3)}" in result.out
    assert two.submissions == [{"author": "Ada"}]
    assert f"Retry of:          {run_id(1)}" in call("train", "info", "-w", "mnist", "-r", run_id(3)).out


def test_json_is_the_run(two: Gateway, call: Call) -> None:
    killed = json.loads(call("train", "kill", "-w", "mnist", "-i", "0", "--json").out)
    made = json.loads(call("train", "retry", "-w", "mnist", "-r", run_id(1), "--json").out)

    assert (killed["state"], made["run"]["retry_of"]) == ("killed", run_id(1))
