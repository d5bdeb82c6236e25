"""What a retry takes over: the very commits that a training used, however its data came."""

from datetime import UTC, datetime
from typing import Any

import pytest

from functions.gateway import retry
from shared.errors import Conflict, Reject
from shared.events import CommitFinished, JobFinished
from shared.runs import Inputs, JobRecord, Options, Part, Run

USED = {"train-1111111": "t", "build": "b", "source": "s", "data": "d", "params": "p"}
INPUTS = Inputs(source="mnist:e23a2f1", data="features:9fd9d03", params="grid:cebf652", image="1" * 64)


def failed(**fields: Any) -> Run:
    """A run of nothing but params, whose training failed."""
    whole = {
        "workspace": "mnist",
        "id": "01a",
        "created": datetime.now(UTC),
        "expected": ("params",),
        "state": "failed",
    }
    parts = {"params": Part(kind="params", name="grid", commit="p0", bundle="grid:cebf652")}
    train = JobRecord(job="t", pipeline="train-1111111-abc")
    more = {"parts": parts, "inputs": INPUTS, "train": train, "options": Options(cpu=2), "force": True}
    return Run.model_validate(whole | more | fields)


def test_a_training_is_retried_on_all_that_it_used() -> None:
    made = retry._training_again(failed(), USED, "Ada")
    assert {kind: (part.commit, part.bundle, part.name) for kind, part in made.parts.items()} == {
        "source": ("s", "mnist:e23a2f1", "mnist"),
        "data": ("d", "features:9fd9d03", "features"),
        "params": ("p", "grid:cebf652", "grid"),
    }
    assert made.complete()
    assert (made.retry_of, made.author, made.options, made.force) == ("01a", "Ada", Options(cpu=2), True)
    assert (made.build.job, made.build.state, made.build.skipped) == ("b", "succeeded", True)
    assert (made.train.job, made.train.pipeline) == ("", "train-1111111-abc")
    [waker] = retry._wakers(made)
    assert isinstance(waker, JobFinished)
    assert (waker.job, waker.runs, waker.outcome) == ("b", (made.id,), "succeeded")


def test_fetched_data_is_not_fetched_again() -> None:
    used = {repo: commit for repo, commit in USED.items() if repo != "data"} | {
        "fetch-features-0": "f",
        "manifest": "m",
    }
    made = retry._training_again(failed(), used, "")
    assert (made.parts["manifest"].commit, made.parts["manifest"].bundle) == ("m", "features:9fd9d03")
    assert (made.fetch.job, made.fetch.pipeline, made.fetch.state) == ("f", "fetch-features-0", "succeeded")
    assert [waker.stage for waker in retry._wakers(made) if isinstance(waker, JobFinished)] == ["build", "fetch"]


def test_without_hyperparameters_then_without_them_now() -> None:
    made = retry._training_again(failed(inputs=INPUTS.model_copy(update={"params": ""})), USED, "")
    assert set(made.parts) == {"source", "data"}


def test_what_never_came_to_train_begins_with_its_commits() -> None:
    parts = {
        kind: Part(kind=kind, commit=f"{kind}0", bundle=f"{kind}:0", attempt="x") for kind in ("source", "manifest")
    }
    made = retry._from_the_start(failed(parts=parts, expected=("source", "manifest"), train=JobRecord()), "")
    wakers = [waker for waker in retry._wakers(made) if isinstance(waker, CommitFinished)]
    assert [(waker.repo, waker.commit, waker.run) for waker in wakers] == [
        ("source", "source0", made.id),
        ("manifest", "manifest0", made.id),
    ]
    assert made.build == made.fetch == made.train == JobRecord()
    assert {part.attempt for part in made.parts.values()} == {""}


@pytest.mark.parametrize(
    ("run", "error", "code"),
    [
        (failed(state="training"), Conflict, "run.unfinished"),
        (failed(state="succeeded"), Conflict, "run.succeeded"),
        (failed(parts={}), Reject, "run.retry"),
        (failed(expected=("source", "params")), Reject, "run.retry"),
    ],
)
def test_what_can_t_be_retried_is_told_why(run: Run, error: type[Conflict], code: str) -> None:
    with pytest.raises(error) as reason:
        retry._check(run)
    assert reason.value.code == code
