"""A dry run reads from the records what Pachyderm would skip, and whose models would be adopted."""

from datetime import UTC, datetime
from typing import Any

import pytest

from functions.gateway.preview import image_of, trained_by, trained_in
from shared.grids import canonical, digest_of
from shared.runs import Inputs, JobRecord, Options, Run
from shared.trials import Trial

IMAGE, DATA = "1" * 64, "features:9fd9d03"
INPUTS = Inputs(source="mnist:e23a2f1", data=DATA, image=IMAGE)


def digests(*degrees: int) -> set[str]:
    return {digest_of(canonical({"degree": degree})) for degree in degrees}


class Tried(Run):
    """A run with its trials, which are kept apart from its record."""

    trials: list[Trial]


async def trials_of(run: Run) -> list[Trial]:
    assert isinstance(run, Tried)
    return run.trials


def trained(run: str, *degrees: int, failed: tuple[int, ...] = (), **fields: Any) -> Run:
    """A run that has trained these; those of `failed` without success."""
    trials = [
        Trial(id=f"{n}", params={"degree": n}, state="failed" if n in failed else "succeeded")
        for n in (*degrees, *failed)
    ]
    whole: dict[str, Any] = {
        "state": "failed" if failed else "succeeded",
        "inputs": INPUTS,
        "train": JobRecord(job="j", state="succeeded"),
    }
    record = {"workspace": "mnist", "id": run, "created": datetime.now(UTC), "expected": ("params",)}
    record |= {"trials": trials, "trial_count": len(trials)}
    return Tried.model_validate(record | whole | fields)


async def test_a_run_of_the_same_inputs_is_adopted_only_where_its_trials_are_the_same_too() -> None:
    runs = [trained("01b", 3, 4, 5), trained("01a", 3, 4)]
    assert await trained_by(runs, INPUTS, Options(), digests(3, 4), trials_of) == "01a"
    assert await trained_by(runs, INPUTS, Options(), digests(3), trials_of) == ""


async def test_the_run_named_is_the_one_that_trained() -> None:
    adopted = trained("01b", 3, same_as="01a")
    assert await trained_by([adopted], INPUTS, Options(), digests(3), trials_of) == "01a"


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "failed"},
        {"inputs": INPUTS.model_copy(update={"image": "2" * 64})},
        {"inputs": INPUTS.model_copy(update={"data": "other:0000000"})},
        {"options": Options(cpu=2)},
    ],
)
async def test_what_differs_is_trained(changed: dict[str, Any]) -> None:
    assert await trained_by([trained("01a", 3, **changed)], INPUTS, Options(), digests(3), trials_of) == ""


async def test_how_many_run_at_once_makes_no_other_models() -> None:
    assert await trained_by([trained("01a", 3)], INPUTS, Options(parallelism=2), digests(3), trials_of) == "01a"


async def test_nothing_is_known_of_an_image_that_is_not_built() -> None:
    unknown = Inputs(data=DATA)
    runs = [trained("01a", 3, inputs=unknown)]
    assert (
        await trained_by(runs, unknown, Options(), digests(3), trials_of),
        await trained_in(runs, unknown, Options(), trials_of),
    ) == ("", set())


async def test_the_trials_done_are_those_of_the_newest_job_of_the_pipeline() -> None:
    runs = [trained("01c", 5, 6, failed=(7,)), trained("01b", 3, 4)]
    assert await trained_in(runs, INPUTS, Options(), trials_of) == digests(5, 6)


@pytest.mark.parametrize(
    "changed",
    [
        {"train": JobRecord(job="j", state="killed")},
        {"options": Options(parallelism=2)},
        {"force": True},
        {"same_as": "01a"},
        {"inputs": INPUTS.model_copy(update={"image": "2" * 64})},
    ],
)
async def test_jobs_of_other_pipelines_and_unfinished_ones_are_looked_through(changed: dict[str, Any]) -> None:
    runs = [trained("01b", 3, **changed), trained("01a", 4)]
    assert await trained_in(runs, INPUTS, Options(), trials_of) == digests(4)


async def test_the_pipeline_forgets_what_it_did_on_other_data() -> None:
    other = INPUTS.model_copy(update={"data": "other:0000000"})
    assert await trained_in([trained("01b", 3, inputs=other), trained("01a", 3)], INPUTS, Options(), trials_of) == set()


def test_the_image_of_a_source_is_known_from_its_training() -> None:
    assert image_of([trained("01a", 3)], "mnist:e23a2f1") == IMAGE
    assert image_of([trained("01a", 3)], "mnist:0000000") == ""
