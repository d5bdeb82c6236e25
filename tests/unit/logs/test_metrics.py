"""What a line or a file reports, and that nothing which user code writes is more than a record can hold."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.logs.live import newest
from functions.logs.metrics import Metrics, Report, of_engine, of_line, values
from shared.trials import METRICS_BYTES, Metric, Trial, bounded

BEGIN = datetime(2026, 7, 29, tzinfo=UTC)


def report(seq: int, trial: str = "aa", step: int | None = None, **metrics: Metric) -> Report:
    return Report(trial=trial, seq=seq, time=BEGIN + timedelta(seconds=seq), metrics=metrics, step=step)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"kaos": {"loss": 0.25, "step": 3}}', ({"loss": 0.25}, 3)),
        ('{"kaos":{"accuracy":1,"best":"epoch 3"}}', ({"accuracy": 1, "best": "epoch 3"}, None)),
        (
            '{ "kaos": {"loss": NaN, "gain": -Infinity, "done": true}}',
            ({"loss": "nan", "gain": "-inf", "done": "true"}, None),
        ),
        ('{"kaos": {"loss": 1e999}}', ({"loss": "inf"}, None)),
        ('{"kaos": {"loss": 1, "list": [1], "none": null, "object": {}}}', ({"loss": 1}, None)),
        ('{"kaos": {"loss": 1, "step": "later"}}', ({"loss": 1}, None)),
        ('{"kaos": {"loss": 1, "step": true}}', ({"loss": 1}, None)),
        ('{"kaos": {"note": "\\ud800"}}', ({"note": "?"}, None)),
    ],
)
def test_lines_that_report(line: str, told: Any) -> None:
    assert of_line(line) == told


@pytest.mark.parametrize(
    "line",
    [
        "",
        "kaos",
        '{"kaos": }',
        '{"kaos": 1}',
        '{"kaos": [{"loss": 1}]}',
        '{"kaos": {}}',
        '{"kaos": {"step": 3}}',
        '{"kaos": {"loss": null}}',
        '{"kaos": {"loss": 1}, "more": 2}',
        '{"more": 2, "kaos": {"loss": 1}}',
        'text {"kaos": {"loss": 1}}',
        '{"kaos": {"loss": ' + "9" * 5000 + "}}",
        '{"kaos": {"loss": ' + "[" * 100_000,
        '{"kaos": {"' + "n" * 101 + '": 1}}',
        '{"kaos": {"a\\u0000b": 1}}',
        '{"kaos": {"\\ud800": 1}}',
        '{"kaos": {"": 1}}',
        '{"metrics": {"loss": 1}}',
    ],
)
def test_lines_like_any_other(line: str) -> None:
    assert of_line(line) is None


def test_the_engines_lines() -> None:
    assert of_engine('{"metrics": {"loss": 0.5, "step": 3}}') == {"loss": 0.5, "step": 3}
    assert of_engine('{"datum": "success", "reason": ""}') is None
    assert of_engine('{"metrics": []}') is None
    assert of_engine('{"metrics": {"a": []}}') is None


def test_numbers_and_texts_are_bounded() -> None:
    assert values({"big": 2**63, "small": -(2**63) + 1, "long": "x" * 10**6}) == {
        "small": -(2**63) + 1,
        "long": "x" * 199 + "…",
    }


def test_of_a_hundred_thousand_names_the_first_are_kept_and_go_on_changing() -> None:
    metrics = Metrics()
    for number in range(100_000):
        metrics.add({f"metric-{number}": number})
    assert metrics.omitted
    metrics.add({"metric-0": -1.2345678901234567e-300, "metric-99999": 7})
    assert metrics.values["metric-0"] == -1.2345678901234567e-300
    assert "metric-99999" not in metrics.values
    assert len(json.dumps(metrics.values)) < METRICS_BYTES
    kept = Trial(id="aa", metrics=metrics.values)
    assert bounded(kept) == kept


def test_a_value_that_grows_takes_no_more_than_there_is() -> None:
    metrics = Metrics()
    metrics.add({f"m{number}": "" for number in range(1000)})
    metrics.add(dict.fromkeys([*metrics.values], "x" * 200))
    assert len(json.dumps(metrics.values)) < METRICS_BYTES
    assert set(metrics.values.values()) <= {"", "x" * 200}
    metrics.add({name: "y" * 200 for name, value in metrics.values.items()})
    assert set(metrics.values.values()) <= {"", "y" * 200}, "no old value is taken for the newest"


def test_trials_of_a_large_grid_get_less_each() -> None:
    first, later = Metrics(0), Metrics(5000)
    for metrics in (first, later):
        metrics.add({f"metric-{number}": number for number in range(10_000)})
    assert len(later.values) * 4 < len(first.values)


def test_of_many_reports_the_newest_values_of_each_trial_are_told() -> None:
    told = newest([report(0, loss=3, step=1), report(0, "bb", loss=9), report(1, acc=0.5), report(2, loss=1)])
    assert told == [report(0, "bb", loss=9), report(2, loss=1, acc=0.5, step=1)]
