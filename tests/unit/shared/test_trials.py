"""Whatever user code makes of a trial, a chunk of trials fits into a message of NATS."""

import pytest
from pydantic import TypeAdapter

from shared.trials import CHUNK, Trial, bounded, chunks

NATS_BYTES = 2**20
WIDE = "\U0001f600"  # four bytes


@pytest.mark.parametrize(
    "trial",
    [
        Trial(id="0" * 10, metrics={f"metric-{number}": 0.1 for number in range(100_000)}),
        Trial(id="0" * 10, metrics={f"{number}{WIDE * 90}": WIDE * 90 for number in range(1000)}),
        Trial(id="0" * 10, metrics={f"{number}": "\x01" * 200 for number in range(1000)}),
        Trial(id="0" * 10, params={"words": ["x"] * 10**6}, metrics={"a": WIDE * 10**6}),
        Trial(id="0" * 10, params={f"{WIDE * 1000}{number}": number for number in range(100)}),
        Trial(id="0" * 10, reason=WIDE * 10**6),
    ],
)
def test_a_full_chunk_of_the_worst_fits(trial: Trial) -> None:
    chunk = [bounded(trial)] * CHUNK
    assert len(TypeAdapter(list[Trial]).dump_json(chunk)) < NATS_BYTES


def test_usual_trials_are_kept_as_they_are() -> None:
    params = {"degree": 3, "layers": [64, {"units": 2}], "name": "é", "big": 10**39}
    trial = Trial(id="cebf65", params=params, metrics={"loss": 0.25, "epoch": 3, "note": "nan"}, reason="exit code 1")
    kept = bounded(trial)
    assert kept == trial
    assert Trial.model_validate_json(kept.model_dump_json(exclude_defaults=True)) == trial


def test_what_is_left_out_is_said() -> None:
    cut = bounded(Trial(id="cebf65", params={"words": "x" * 10**5, "degree": 3}, metrics={"a": 1}))
    assert (cut.params, cut.omitted) == ({"words": "x" * 200 + "…", "degree": 3}, True)
    assert bounded(Trial(id="cebf65", metrics={f"{number:0100}": 1 for number in range(1000)})).omitted


def test_the_first_metrics_are_those_that_are_kept() -> None:
    kept = bounded(Trial(id="cebf65", metrics={f"m{number}": number for number in range(10_000)})).metrics
    assert [*kept][:3] == ["m0", "m1", "m2"]
    assert 400 < len(kept) < 600


def test_chunks() -> None:
    assert [chunks(count) for count in (0, 1, 25, 26, 10_000)] == [0, 1, 1, 2, 400]
