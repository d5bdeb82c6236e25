"""What can never be given is refused at once, with a sentence that says what can be."""

from typing import Any

import pytest

from functions.gateway.resources import check
from shared.errors import Reject
from shared.runs import Options
from shared.settings import Settings

ANYWHERE = Settings()
HERE = Settings(trial_max_cpu=2, trial_max_memory=8 * 2**30, trial_max_gpus=1)
NO_GPU = Settings(trial_max_gpus=0)


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ({}, HERE),
        ({"cpu": 0.01, "memory": "4Mi"}, HERE),
        ({"cpu": 2, "memory": "8Gi", "gpu": 1}, HERE),
        ({"cpu": 1920, "memory": "32Ti", "gpu": 16, "parallelism": 10_000}, ANYWHERE),
    ],
)
def test_what_can_be(asked: Any, settings: Settings) -> None:
    check(Options.model_validate(asked), settings)


@pytest.mark.parametrize(
    ("asked", "settings", "code", "words"),
    [
        ({"cpu": 1921}, ANYWHERE, "options.cpu", "1921 cores are more than any machine has"),
        ({"cpu": 1e-300}, ANYWHERE, "options.cpu", "ask for 0.01 at least"),
        ({"cpu": 2.5}, HERE, "options.cpu", "2.5 cores are more than there are here for a trial: ask for 2 at most"),
        ({"memory": "512m"}, ANYWHERE, "options.memory", "'512m' is no amount of memory: write 512Mi"),
        ({"memory": "-1Gi"}, ANYWHERE, "options.memory", "is no amount of memory"),
        ({"memory": "NaN"}, ANYWHERE, "options.memory", "is no amount of memory"),
        ({"memory": "0"}, ANYWHERE, "options.memory", "is not between 4Mi and 32Ti"),
        ({"memory": "4095Ki"}, ANYWHERE, "options.memory", "is not between 4Mi and 32Ti"),
        ({"memory": "1e9Gi"}, ANYWHERE, "options.memory", "is not between 4Mi and 32Ti"),
        ({"memory": "1e99T"}, ANYWHERE, "options.memory", "is not between 4Mi and 32Ti"),
        (
            {"memory": "9Gi"},
            HERE,
            "options.memory",
            "9Gi of memory is more than there is here for a trial: ask for 8 GiB",
        ),
        ({"gpu": 0}, ANYWHERE, "options.gpu", "leave the option out"),
        ({"gpu": 17}, ANYWHERE, "options.gpu", "17 GPUs are more than any machine has"),
        ({"gpu": 2}, HERE, "options.gpu", "A trial was to have 2 GPUs, and there is one here."),
        ({"gpu": 1}, NO_GPU, "options.gpu", "A trial was to have 1 GPU, and there is none here."),
        ({"parallelism": 10_001}, ANYWHERE, "options.parallelism", "10,000 trials at once at most"),
    ],
)
def test_what_can_not_be(asked: Any, settings: Settings, code: str, words: str) -> None:
    with pytest.raises(Reject) as reject:
        check(Options.model_validate(asked), settings)
    assert reject.value.code == code
    assert words in reject.value.message
