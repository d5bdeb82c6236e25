"""kaos train list, info, logs, build-logs: what they show, and which run they mean."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from kaos.cli import client as client_module
from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, job, line, record, run_id, trial


@pytest.fixture
def three(gateway: Gateway) -> Gateway:
    """A run in each stage: the newest is being ingested."""
    gateway.add_workspace("mnist")
    gateway.workspaces["mnist"]["runs"] = 3
    gateway.runs = [
        record(3, "ingesting"),
        record(2, "failed", build=job("failed", "b" * 32)),
        record(
            1,
            "succeeded",
            build=job("succeeded", "c" * 32),
            train=job("succeeded", "a" * 32),
            expected=["params"],
            trials=[
                trial("aaaaaa", params={"degree": 3}, metrics={"accuracy": 0.9, "loss": 0.5}),
                trial("bbbbbb", params={"degree": 4}, metrics={"accuracy": 0.95, "loss": 0.7}),
                trial("cccccc", model="", state="failed", reason="exit code 1"),
            ],
        ),
    ]
    return gateway


def test_list_shows_a_table_a_stage(three: Gateway, call: Call) -> None:
    out = call("train", "list", "-w", "mnist").out

    ingesting, building, training = (out.index(name) for name in ("INGESTING", "BUILDING", "TRAINING"))
    assert ingesting < out.index(run_id(3)) < building < out.index("b" * 32) < training < out.index("a" * 32)
    row = out.splitlines()[-1].split()
    assert row[:4] == ["2", "4.0", "s", "3"]  # the row of the last list, the run's time, its trials
    assert row[-1] == "succeeded"


def test_list_tells_how_many_trials_have_begun(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")
    under_way = [trial("aaaaaa", model="", state="running"), trial("bbbbbb")]
    gateway.runs = [
        record(1, "training", train=job("", "a" * 32), expected=["params"], trials=under_way, trials_live=True)
    ]

    assert "2 trials so far" in call("train", "list", "-w", "mnist").out


def test_list_of_nothing_says_what_to_do(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")

    assert "kaos train deploy" in call("train", "list", "-w", "mnist").out


def test_list_is_paged(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")
    gateway.runs = [record(n, "succeeded", train=job("succeeded", f"{n:032}")) for n in range(25, 0, -1)]

    first, second = (call("train", "list", "-w", "mnist", "-p", page).out for page in ("1", "2"))

    assert f"{6:032}" in first
    assert f"{5:032}" not in first
    assert "train list -p 2" in first
    assert f"{5:032}" in second
    assert second.splitlines()[-1].split()[0] == "24"
    assert "-p 3" not in second


def test_runs_of_all_workspaces_are_told_with_theirs_and_change_no_rows(three: Gateway, call: Call) -> None:
    call("train", "list", "-w", "mnist")
    three.runs.insert(0, record(4, "failed", workspace="other"))

    result = call("train", "list", "--all-workspaces", "--state", "failed")

    assert result.code == 0, result.err
    assert "workspace" in result.out
    assert [line.split()[0] for line in result.out.splitlines() if "failed" in line] == ["other", "mnist"]
    assert json.loads(call("train", "info", "-w", "mnist", "-i", "0", "--json").out)["id"] == run_id(3)
    assert call("train", "list", "--all-workspaces", "-w", "mnist").code == 2


@pytest.mark.parametrize(
    ("since", "sent"),
    [("2026-07-29", "2026-07-29T00:00:00"), ("2026-07-29T15:25+02:00", "2026-07-29T13:25:00")],
)
def test_a_time_is_sent_in_utc(three: Gateway, call: Call, since: str, sent: str) -> None:
    assert call("train", "list", "-w", "mnist", "--since", since).code == 0
    assert f"since={quote(sent + '+00:00')}" in three.queries[-1]


@pytest.mark.parametrize(("since", "seconds"), [("90s", 90), ("2h", 7200), ("7d", 604_800)])
def test_an_age_is_sent_as_a_time(three: Gateway, call: Call, since: str, seconds: int) -> None:
    call("train", "list", "-w", "mnist", "--since", since)

    [sent] = parse_qs(urlsplit(three.queries[-1]).query)["since"]
    assert abs((datetime.now(UTC) - datetime.fromisoformat(sent)).total_seconds() - seconds) < 10


@pytest.mark.parametrize("since", ["yesterday", "2x", "-1h", "9999999h", ""])
def test_what_is_neither_age_nor_time_is_wrong_use(three: Gateway, call: Call, since: str) -> None:
    assert call("train", "list", "-w", "mnist", f"--since={since}").code == 2


def test_nothing_found_is_told_apart_from_nothing_there(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")

    assert "no such runs" in call("train", "list", "-w", "mnist", "--state", "killed").out


def test_ind_is_a_row_of_the_list_that_was_seen(three: Gateway, call: Call) -> None:
    call("train", "list", "-w", "mnist")
    three.runs.insert(0, record(4, "received"))

    assert json.loads(call("train", "info", "-w", "mnist", "-i", "0", "--json").out)["id"] == run_id(3)
    assert "no row 9" in call("train", "info", "-w", "mnist", "-i", "9").err


def test_ind_without_a_list_counts_from_the_newest(three: Gateway, call: Call) -> None:
    assert json.loads(call("train", "info", "-w", "mnist", "-i", "1", "--json").out)["id"] == run_id(2)


@pytest.mark.parametrize("name", [run_id(1), "a" * 32, "c" * 32])
def test_a_run_has_the_names_of_its_jobs(three: Gateway, call: Call, name: str) -> None:
    assert json.loads(call("train", "info", "-w", "mnist", "-r", name, "--json").out)["id"] == run_id(1)


def test_unknown_runs_and_two_names_are_told_apart(three: Gateway, call: Call) -> None:
    assert call("train", "info", "-w", "mnist", "-r", "0123").code == 1
    assert call("train", "info", "-w", "mnist", "-r", run_id(1), "-i", "0").code == 2


@pytest.mark.parametrize(
    ("options", "best"), [((), "bbbbbb"), (("-s", "loss"), "bbbbbb"), (("-s", "loss", "--ascending"), "aaaaaa")]
)
def test_info_ranks_models_by_a_metric(three: Gateway, call: Call, options: tuple[str, ...], best: str) -> None:
    told = json.loads(call("train", "info", "-w", "mnist", "-r", run_id(1), "--json", *options).out)

    assert told["trials"][0]["id"] == best
    assert told["trials"][-1]["id"] == "cccccc"  # no model comes last, whatever the order


def test_info_shows_stages_models_and_reasons(three: Gateway, call: Call) -> None:
    out = call("train", "info", "-w", "mnist", "-r", run_id(1)).out

    for text in ("accuracy, loss", "/mnist:e23a2f1", "e23a2f1_9fd9d03:bbbbbb", "degree=4", "0.95", "exit code 1"):
        assert text in out
    assert out.index("0.95") < out.index("0.9 ") if "0.9 " in out else True
    assert "overhead" in out


def test_info_of_an_unknown_metric_names_those_there_are(three: Gateway, call: Call) -> None:
    result = call("train", "info", "-w", "mnist", "-r", run_id(1), "-s", "f1")

    assert result.code == 2
    assert "accuracy, loss" in result.err


def test_logs_have_the_originals_form_and_show_gaps(three: Gateway, call: Call) -> None:
    three.lines["train"] = [line(0, "first\x07"), line(3, '  File "./train", line 88', partial=True)]

    out = call("train", "logs", "-w", "mnist", "-r", run_id(3)).out.splitlines()

    assert out == [
        "[2026-07-29 15:25:46] first\\x07",
        "[… 2 lines are missing …]",
        '[2026-07-29 15:25:49]   File "./train", line 88 …',
    ]


def test_logs_of_a_grid_name_the_trial(three: Gateway, call: Call) -> None:
    three.lines["train"] = [line(0, "x", trial="aaaaaa"), line(0, "y", trial="bbbbbb")]

    out = call("train", "logs", "-w", "mnist", "-r", run_id(1)).out

    assert "aaaaaa x" in out
    assert "bbbbbb y" in out


def test_following_logs_repeats_nothing_and_ends_as_the_run_did(
    three: Gateway, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaos.cli.streams.time.sleep", lambda _: None)
    three.lines["train"] = [line(n, f"line {n}") for n in range(6)]
    three.break_off["logs"] = 2

    succeeded = call("train", "logs", "-w", "mnist", "-f", "-r", run_id(1))

    assert succeeded.code == 0
    assert [text.rpartition("line ")[2] for text in succeeded.out.splitlines()] == [*"012345"]
    assert call("train", "logs", "-w", "mnist", "-f", "-r", run_id(2)).code == 1


def test_a_log_that_breaks_off_is_not_taken_for_its_end(three: Gateway, call: Call) -> None:
    three.lines["train"] = [line(n, f"line {n}") for n in range(6)]
    three.break_off["logs"] = 1

    assert call("train", "logs", "-w", "mnist", "-r", run_id(1)).code == 3


def test_logs_are_saved_on_request(three: Gateway, call: Call, tmp_path: Path) -> None:
    three.lines["build"] = [line(0, "Step 1", trial="")]

    result = call("train", "build-logs", "-w", "mnist", "-j", "c" * 32, "-o", tmp_path / "log", "--tail", "5")

    assert "1 lines saved" in result.out
    assert (tmp_path / "log").read_text() == "[2026-07-29 15:25:46] Step 1\n"
    assert any("stage=build&follow=false&tail=5" in query for query in three.queries)


def test_a_fetch_is_part_of_the_ingesting_and_has_a_log(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")
    failed = job("failed", "f" * 32)
    gateway.runs = [
        record(1, "failed", fetch=failed, build=job("succeeded", "c" * 32), expected=["source", "manifest"])
    ]
    gateway.lines["fetch"] = [line(0, "fetched 1 of 2 files", stage="fetch")]

    out = call("train", "list", "-w", "mnist").out
    assert "INGESTING" in out
    assert "f" * 32 in out
    assert "kaos train logs --stage fetch" in call("train", "logs", "-w", "mnist").err
    assert "fetched 1 of 2 files" in call("train", "logs", "-w", "mnist", "--stage", "fetch").out
    assert "fetch " in call("train", "info", "-w", "mnist").out


def test_a_stage_that_goes_on_is_running_since_the_run_came_to_it(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")
    under_way = {**job("", "a" * 32), "started": None, "finished": None}
    entered = (datetime.now(UTC) - timedelta(seconds=90)).isoformat()
    gateway.runs = [record(1, "training", train=under_way, times={"training": entered})]

    [train] = [text for text in call("train", "info", "-w", "mnist").out.splitlines() if text.startswith("train ")]

    assert train.split()[1:4] == ["running", "1", "m"]


def test_stages_at_work_side_by_side_count_once(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")
    jobs = {stage: job("succeeded", stage * 4) for stage in ("fetch", "build")}  # both from second 1 to second 3
    gateway.runs = [record(1, "succeeded", **jobs)]

    [overhead] = [text for text in call("train", "info", "-w", "mnist").out.splitlines() if "overhead" in text]

    assert overhead.split()[1:3] == ["2.0", "s"]


def test_no_lines_because_the_build_failed_is_said(three: Gateway, call: Call) -> None:
    result = call("train", "logs", "-w", "mnist", "-r", run_id(2))

    assert result.out == ""
    assert f"kaos train build-logs -r {run_id(2)}" in result.err


def test_a_stack_that_just_restarts_is_asked_again(
    gateway: Gateway, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_PAUSES", (0.0, 0.0, 0.0))
    gateway.restarting = 3
    assert call("workspace", "create", "-n", "mnist").code == 0
    gateway.restarting = 4
    assert call("workspace", "create", "-n", "mnist").code == 3
