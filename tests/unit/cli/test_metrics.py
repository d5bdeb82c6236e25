"""Metrics while a run goes on: in info, in events, and as they change in --follow; and what trials cost."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, event, job, record, run_id, trial


def reported(sequence: int, name: str = "aaaaaa", step: int | None = None, **metrics: Any) -> dict[str, Any]:
    told = {} if step is None else {"step": step}
    return event(sequence, "metrics.reported", run=run_id(1), trial=name, seq=sequence, metrics=metrics, **told)


@pytest.fixture
def running(gateway: Gateway) -> Gateway:
    gateway.add_workspace("mnist")
    live = {"state": "running", "model": "", "seconds": None, "cpu_seconds": None, "peak_bytes": None}
    gateway.runs = [
        record(
            1,
            "training",
            train=job("running", "a" * 32),
            trials=[
                trial("aaaaaa", params={"degree": 3}, metrics={"accuracy": 0.5, "loss": 0.25}, step=3, **live),
                trial("bbbbbb", params={"degree": 4}, metrics={"accuracy": 0.75, "loss": 0.125}),
            ],
        )
    ]
    return gateway


def test_info_of_a_run_that_goes_on_shows_what_its_trials_have_reached(running: Gateway, call: Call) -> None:
    out = call("train", "info", "-w", "mnist").out.partition("TRIALS SO FAR (2")[2]
    assert out.index("bbbbbb") < out.index("aaaaaa"), "best first"
    assert "aaaaaa: step 3, accuracy 0.5, loss 0.25" in out


def test_info_shows_what_each_trial_cost(running: Gateway, call: Call) -> None:
    header, *rows = call("train", "info", "-w", "mnist").out.partition("TRIALS SO FAR")[2].splitlines()[2:5]
    assert header.split()[-3:] == ["time", "cpu", "memory"]
    assert rows[0].split()[-6:] == ["1.0", "s", "0.75", "s", "12.3", "MB"]
    assert rows[1].split()[-3:] == ["-", "-", "-"]


def test_info_says_that_there_is_more_than_is_kept(running: Gateway, call: Call) -> None:
    running.runs[0]["trials"] = [trial("cccccc", metrics={f"m{n:02}": n for n in range(20)}, omitted=True)]
    out = call("train", "info", "-w", "mnist").out
    assert "cccccc: m00 0, m01 1" in out
    assert "and 12 more" in out
    assert "than are kept" in out


def test_events_tell_of_metrics(running: Gateway, call: Call) -> None:
    running.events = [reported(1, step=3, loss=0.25, accuracy=0.5), reported(2, "bb\x1bbb", note="na\x07n")]
    lines = call("events", "-w", "mnist").out.splitlines()
    assert lines[0].endswith("metrics.reported aaaaaa  step 3  accuracy 0.5, loss 0.25")
    assert lines[1].endswith("bb\\x1bbb  note na\\x07n")


def test_follow_shows_metrics_as_they_change(gateway: Gateway, call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    (folder / "x.csv").write_text("1")
    gateway.becomes = {
        "state": "succeeded",
        "train": job("succeeded", "a" * 32),
        "times": {"succeeded": "2026-07-29T15:25:50Z"},
    }
    gateway.events = [
        reported(1, step=1, loss=0.5, accuracy=0.5),
        reported(2, step=2, loss=0.25, accuracy=0.5),
        reported(3, step=3, loss=0.25, accuracy=0.5),
        reported(4, step=1, loss=0.5) | {"data": reported(1, step=1, loss=0.5)["data"]},
        event(5, "run.changed", run=run_id(1), state="succeeded"),
    ]
    out = call("train", "deploy", "-d", folder, "-w", "mnist", "--follow").out
    shown = [line.partition("aaaaaa  ")[2] for line in out.splitlines() if "aaaaaa" in line]
    assert shown == ["step 1  accuracy 0.5, loss 0.5", "step 2  loss 0.25"]


@pytest.mark.parametrize(
    "options", [("--cpu", "nan"), ("--cpu", "inf"), ("--cpu", "-1"), ("--cpu", "0"), ("--gpu", "0"), ("--gpu", "-1")]
)
def test_what_is_no_amount_is_refused_before_anything_is_packed(
    gateway: Gateway, call: Call, tmp_path: Path, options: tuple[str, str]
) -> None:
    result = call("train", "deploy", "-d", tmp_path, "-w", "mnist", *options)
    assert result.code == 2
    assert options[0] in result.err
    assert not gateway.submissions
