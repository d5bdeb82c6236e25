"""Failures are told in sentences that say what to do, with stable codes."""

import pytest

from functions.logs.reasons import failure, of_trials
from shared.events import JobFinished, JobOutcome, Stage
from shared.runs import Options
from shared.trials import Trial


def job(stage: Stage, reason: str, outcome: JobOutcome = "failed") -> JobFinished:
    return JobFinished(
        workspace="mnist", stage=stage, pipeline=stage, job="j", runs=("r",), outcome=outcome, reason=reason
    )


def trial(name: str, state: str = "succeeded", model: str = "", reason: str = "") -> Trial:
    return Trial(id=name, state=state, model=model, reason=reason)


@pytest.mark.parametrize("stage", ["build", "fetch"])
def test_a_stage_with_a_program_of_ours_explains_itself(stage: Stage) -> None:
    told = failure(job(stage, "datum ab12 failed: exit code 1"), 'kaos-error: {"code": "build.x", "message": "y"}')
    assert (told.code, told.message) == ("build.x", "y")


@pytest.mark.parametrize("line", ["kaos-error: {", "kaos-error: []", 'kaos-error: {"code": 1}', "other", ""])
def test_a_line_that_only_looks_like_the_builders_is_not_believed(line: str) -> None:
    told = failure(job("build", "datum ab12 failed: exit code 1"), line)
    assert told.code == "build.failed"
    assert "exit code 1" in told.message


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("exit code 3", "train.failed"),
        ("signal 9", "train.killed"),
        ("out of memory: used more than 512 MiB", "train.out-of-memory"),
    ],
)
def test_the_only_trial_gives_the_reason_itself(reason: str, code: str) -> None:
    told = of_trials([trial("ab", "failed", reason=reason)], {"ab": "ValueError: no such column"})
    assert told is not None
    assert told.code == code
    assert reason in told.message


def test_the_last_words_of_a_training_are_quoted() -> None:
    told = of_trials([trial("ab", "failed", reason="exit code 1")], {"ab": "ValueError: no such column", "cd": "no"})
    assert told is not None
    assert "ValueError: no such column" in told.message


def test_of_several_trials_it_is_told_how_many_and_why_the_first_failed() -> None:
    trials = [trial("a", model="m"), trial("b", "failed", reason="exit code 7"), trial("c", "failed")]
    told = of_trials(trials, {})
    assert told is not None
    assert told.code == "train.trials"
    assert told.message.startswith("1 of 3 trials succeeded. Trial b: ")
    assert "exit code 7" in told.message


def test_a_trial_without_a_model_is_no_success() -> None:
    told = of_trials([trial("a")], {})
    assert told is not None
    assert told.code == "train.no-output"


def test_no_trial_at_all_is_no_success() -> None:
    told = of_trials([], {})
    assert told is not None
    assert told.code == "train.no-trials"


def test_a_model_of_every_trial_is_a_success() -> None:
    assert of_trials([trial("a", model="m"), trial("b", "skipped", model="n")], {}) is None


def test_a_stopped_job_is_told_apart_from_a_failed_one() -> None:
    told = failure(job("train", "job stopped", "killed"), "")
    assert told.code == "train.killed"


def test_too_little_memory_is_told_as_it_was_asked_for_with_what_was_needed() -> None:
    ended = trial("ab", "failed", reason="out of memory: used more than 512 MiB")
    ended.peak_bytes = 512 * 2**20
    told = of_trials([ended], {}, Options(memory="512Mi"))
    assert told is not None
    assert (told.code, told.message) == (
        "train.out-of-memory",
        "The training used more than --memory 512Mi: its peak was 512 MiB. Give it more, or let it need less.",
    )
    of_job = failure(job("train", f"datum ab12 failed: {ended.reason}"), "", Options(memory="512Mi"))
    assert of_job.message.startswith("The training used more than --memory 512Mi. ")


def test_what_a_machine_can_never_give_is_told_apart() -> None:
    told = failure(job("train", "it can never run: 4 cores are asked for, and this machine gives 2"), "")
    assert told.code == "train.resources"
    assert told.message.startswith("It can never run: 4 cores are asked for")
