"""Failures are told in sentences that say what to do, with stable codes."""

import pytest

from functions.logs.reasons import failure
from shared.events import JobFinished, Stage


def job(stage: Stage, reason: str) -> JobFinished:
    return JobFinished(
        workspace="mnist", stage=stage, pipeline=stage, job="j", runs=("r",), outcome="failed", reason=reason
    )


def test_a_builder_explains_itself() -> None:
    told = failure(
        job("build", "datum ab12 failed: exit status 1"), ['kaos-error: {"code": "build.x", "message": "y"}']
    )
    assert (told.code, told.message) == ("build.x", "y")


@pytest.mark.parametrize("line", ["kaos-error: {", "kaos-error: []", 'kaos-error: {"code": 1}', "other", ""])
def test_a_line_that_only_looks_like_the_builders_is_not_believed(line: str) -> None:
    told = failure(job("build", "datum ab12 failed: exit status 1"), [line])
    assert told.code == "build.failed"
    assert "exit status 1" in told.message


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("datum ab12 failed: exit status 3", "train.failed"),
        ("datum ab12 failed: killed by signal 9", "train.killed"),
        ("datum ab12 failed: out of memory: used more than 512Mi", "train.out-of-memory"),
    ],
)
def test_a_training_is_told_apart(reason: str, code: str) -> None:
    assert failure(job("train", reason), []).code == code


def test_the_last_words_of_a_training_are_quoted() -> None:
    told = failure(job("train", "datum ab12 failed: exit status 1"), ["Traceback …", "ValueError: no such column", " "])
    assert "ValueError: no such column" in told.message
    assert "ab12" not in told.message
