"""kaos train deploy: what is packed, sent, shown, and followed."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from functions.ingest.archive import Limits, files_of
from functions.ingest.layout import source_root
from functions.ingest.packed import Packed
from kaos import templates
from kaos.cli import pack as pack_module
from kaos.cli import upload
from shared.bundles import Entry, tree_hash
from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, event, job, line, record, run_id, trial

_LIMITS = Limits(max_bytes=1 << 30, max_entries=1000)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_PAUSES", (0.0, 0.0, 0.0))


def _ingested(content: bytes) -> list[Entry]:
    """The files as ingest finds them."""
    seen: list[Entry] = []
    for _, pieces in files_of(Packed(len(content), partial(io.BytesIO, content)), _LIMITS, seen):
        assert all(pieces)
    return seen


def test_source_and_data_of_the_seeds_layout_are_one_run(
    gateway: Gateway, call: Call, source: Path, data: Path
) -> None:
    result = call(
        "train", "deploy", "-s", source, "-d", data, "-w", "mnist", "-p", "2", "--cpu", "0.5", "--memory", "1G"
    )

    assert result.code == 0, result.err
    (submission,) = gateway.submissions
    assert [(part["kind"], part["filename"]) for part in submission["parts"]] == [
        ("source", "mnist.tar.zst"),
        ("data", "features.tar.zst"),
    ]
    assert submission["options"] == {"parallelism": 2, "cpu": 0.5, "memory": "1G"}
    content = gateway.stored[f"mnist/source/{run_id(1)}/mnist.tar.zst"]
    assert submission["parts"][0]["size"] == len(content)
    assert gateway.headers[f"mnist/source/{run_id(1)}/mnist.tar.zst"]["x-amz-meta-kaos-run"] == run_id(1)
    entries = _ingested(content)
    assert [entry.path for entry in entries] == ["Dockerfile", "model/requirements.txt", "model/train"]
    assert f"✔ Setting source bundle: /mnist:{tree_hash(entries)[:7]}\n" in result.out
    assert "CURRENT TRAINING INPUTS" in result.out
    assert "⨂ <building>" in result.out
    assert f"train logs -f -r {run_id(1)}" in result.out
    assert result.err == ""  # no progress bars where nobody watches


def test_the_folder_with_the_dockerfile_itself_is_the_same_bundle(gateway: Gateway, call: Call, source: Path) -> None:
    above, itself = (call("train", "deploy", "-s", path, "-w", "mnist") for path in (source, source / "mnist"))

    assert above.out.splitlines()[0] == itself.out.splitlines()[0]


def test_data_alone_is_trained_on_the_newest_image(gateway: Gateway, call: Call, data: Path) -> None:
    gateway.add_workspace("mnist", source="mnist:e23a2f1", image="mnist@sha256:1")

    result = call("train", "deploy", "-d", data, "-w", "mnist")

    assert "/mnist:e23a2f1" in result.out
    assert "building" not in result.out


def test_what_is_missing_is_said(gateway: Gateway, call: Call, data: Path) -> None:
    assert "✗ <missing: -s SOURCE_DIR>" in call("train", "deploy", "-d", data, "-w", "mnist").out


def test_params_are_shown_as_a_table_and_sent_as_they_are(gateway: Gateway, call: Call, tmp_path: Path) -> None:
    params = tmp_path / "grid.json"
    params.write_text('{"degree": [3, 4, 5], "kernel": ["ovo", "ova"], "gamma": 0.1}')

    result = call("train", "deploy", "-h", params, "-w", "mnist")

    assert "HYPERPARAMS (6 combinations)" in result.out
    assert gateway.stored[f"mnist/params/{run_id(1)}/grid.json"] == params.read_bytes()


def test_a_random_search_sends_the_combinations_it_drew_and_the_same_ones_for_a_seed(
    gateway: Gateway, call: Call, tmp_path: Path
) -> None:
    params = tmp_path / "grid.json"
    params.write_text(json.dumps({name: list(range(1000)) for name in "abcdef"}))
    search = ("train", "deploy", "-h", params, "-w", "mnist", "--search", "random", "--trials", "5", "--seed")

    first, again, other = (call(*search, seed) for seed in ("1", "1", "2"))

    assert "HYPERPARAMS (5 combinations)" in first.out
    sent = [gateway.stored[f"mnist/params/{run_id(number)}/grid.json"] for number in (1, 2, 3)]
    assert sent[0] == sent[1] != sent[2]
    assert [len(combination) for combination in json.loads(sent[0])] == [6] * 5
    assert again.code == other.code == 0


@pytest.mark.parametrize(
    "options", [("--search", "random"), ("--trials", "3"), ("--search", "random", "--trials", "0")]
)
def test_half_a_random_search_is_wrong_use(
    gateway: Gateway, call: Call, tmp_path: Path, options: tuple[str, ...]
) -> None:
    params = tmp_path / "grid.json"
    params.write_text('{"a": [1, 2]}')

    assert call("train", "deploy", "-h", params, *options).code == 2
    assert gateway.queries == []


def test_who_submits_and_whether_by_force_is_sent(
    gateway: Gateway, call: Call, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("train", "deploy", "-d", data, "-w", "mnist")
    call("train", "deploy", "-d", data, "-w", "mnist", "--force", "--author", "Ada")
    monkeypatch.setenv("KAOS_AUTHOR", "Grace")
    call("train", "deploy", "-d", data, "-w", "mnist")

    told = [(submission["author"], submission["force"]) for submission in gateway.submissions]
    assert re.fullmatch(r"[^@]+@[^@]+", told[0][0])
    assert told[1:] == [("Ada", True), ("Grace", False)]


@pytest.mark.parametrize(
    ("content", "code"),
    [("[1]", "params.malformed"), ("{", "params.malformed"), ('{"a": []}', "params.empty-axis")],
)
def test_bad_params_are_refused_before_anything_is_sent(
    gateway: Gateway, call: Call, tmp_path: Path, content: str, code: str
) -> None:
    params = tmp_path / "params.json"
    params.write_text(content)

    result = call("train", "deploy", "-h", params, "-w", "mnist")

    assert (result.code, gateway.queries) == (1, [])
    assert code in result.err


def test_too_large_a_grid_is_refused_without_expanding_it(gateway: Gateway, call: Call, tmp_path: Path) -> None:
    params = tmp_path / "params.json"
    params.write_text(json.dumps({name: list(range(1000)) for name in "abcdef"}))

    assert "params.too-many" in call("train", "deploy", "-h", params, "-w", "mnist").err


@pytest.mark.parametrize("missing", ["Dockerfile", "model/train", "model/requirements.txt"])
def test_a_source_bundle_that_lacks_a_file_is_refused_at_once(
    gateway: Gateway, call: Call, source: Path, missing: str
) -> None:
    (source / "mnist" / missing).unlink()

    result = call("train", "deploy", "-s", source, "-w", "mnist")

    assert (result.code, gateway.queries) == (1, [])
    assert missing.rpartition("/")[2] in result.err


def test_several_folders_and_no_dockerfile_are_refused(gateway: Gateway, call: Call, source: Path) -> None:
    (source / "other").mkdir()

    assert "bundle.several-roots" in call("train", "deploy", "-s", source, "-w", "mnist").err


def test_a_link_out_of_the_bundle_to_a_folder_is_refused(gateway: Gateway, call: Call, data: Path) -> None:
    (data / "features/all").symlink_to("/etc", target_is_directory=True)

    assert "bundle.member" in call("train", "deploy", "-d", data, "-w", "mnist").err


def test_a_manifest_is_sent_as_it_is(gateway: Gateway, call: Call, tmp_path: Path) -> None:
    manifest = tmp_path / "data_manifest.jsonl"
    manifest.write_text('{"url": "https://example.com/a.csv", "path": "test/a.csv"}\r\n')

    result = call("train", "deploy", "-m", manifest, "-w", "mnist")

    assert result.code == 0
    assert gateway.submissions[0]["parts"][0]["kind"] == "manifest"
    [(key, content)] = gateway.stored.items()
    assert (key.rpartition("/")[2], content) == ("data_manifest.jsonl.mf", manifest.read_bytes())
    assert "✔ Setting manifest bundle: /data_manifest.jsonl:" in result.out


def test_a_manifest_that_is_wrong_is_told_before_anything_is_sent(gateway: Gateway, call: Call, tmp_path: Path) -> None:
    manifest = tmp_path / "data.mf"
    manifest.write_text('{"url": "https://example.com/a.csv", "path": "a"}\n{"url": "https://example.com/b.csv"}\n')

    result = call("train", "deploy", "-m", manifest)

    assert (result.code, gateway.submissions) == (1, [])
    assert "Line 2 of the manifest lacks 'path'." in result.err
    assert "[manifest.key-missing]" in result.err


@pytest.mark.parametrize("options", [(), ("-d", ".", "-m", "x"), ("--cpu", "0", "-d", "."), ("-p", "0", "-d", ".")])
def test_wrong_use_exits_2(gateway: Gateway, call: Call, tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "x").write_text("")

    assert call("train", "deploy", *options).code == 2


def test_without_a_workspace_default_is_used_and_said_once(gateway: Gateway, call: Call, data: Path) -> None:
    first, second = (call("train", "deploy", "-d", data) for _ in range(2))

    assert "using default" in first.out
    assert "using default" not in second.out
    assert set(gateway.workspaces) == {"default"}


def test_large_bundles_go_in_parts(gateway: Gateway, call: Call, data: Path) -> None:
    (data / "features/training/noise.bin").write_bytes(os.urandom(100_000))
    gateway.part_size = 30_000

    result = call("train", "deploy", "-d", data, "-w", "mnist")

    assert result.code == 0, result.err
    (completion,) = gateway.completions
    count = len(gateway.stored)
    assert count == 4
    assert completion["etags"] == [f'"e{n}"' for n in range(1, count + 1)]
    whole = b"".join(gateway.stored[f"mnist/data/{run_id(1)}/features.tar.zst#{n}"] for n in range(1, count + 1))
    assert len(_ingested(whole)) == 3


def test_an_upload_is_repeated_where_the_store_is_busy(gateway: Gateway, call: Call, data: Path) -> None:
    gateway.refusals = [(503, "SlowDown")] * 3

    assert call("train", "deploy", "-d", data, "-w", "mnist").code == 0
    assert gateway.stored


def test_an_upload_that_the_store_refuses_is_not_repeated(gateway: Gateway, call: Call, data: Path) -> None:
    gateway.refusals = [(403, "SignatureDoesNotMatch"), (403, "Unreached")]

    result = call("train", "deploy", "-d", data, "-w", "mnist")

    assert result.code == 1
    assert "SignatureDoesNotMatch" in result.err
    assert "signature=abc" not in result.err
    assert len(gateway.refusals) == 1


def test_a_store_that_stays_away_exits_3(gateway: Gateway, call: Call, data: Path) -> None:
    gateway.refusals = [(503, "SlowDown")] * 4

    assert call("train", "deploy", "-d", data, "-w", "mnist").code == 3


def test_data_that_is_mostly_zeros_does_not_look_like_a_bomb(gateway: Gateway, call: Call, data: Path) -> None:
    (data / "features/zeros").write_bytes(bytes(1 << 20))

    call("train", "deploy", "-d", data, "-w", "mnist")

    assert len(gateway.stored[f"mnist/data/{run_id(1)}/features.tar"]) > 1 << 20


@pytest.fixture
def finished(gateway: Gateway) -> Gateway:
    """Whatever is deployed has been trained, in the time it takes to look."""
    gateway.becomes = {
        "state": "succeeded",
        "train": job("succeeded", "a" * 32),
        "trials": [trial("cebf65", metrics={"accuracy": 0.98})],
        "times": {"succeeded": "2026-07-29T15:25:50Z"},
    }
    gateway.lines = {
        "build": [line(0, "Step 1", stage="build")],
        "train": [line(0, "epoch 1"), line(1, "\x1b[2Jepoch 2")],
    }
    gateway.events = [
        event(1, "commit.finished", repo="data", bundle="features:9fd9d03", run=run_id(1)),
        event(2, "job.started", stage="build", job="b" * 32),
        event(3, "job.finished", stage="build", job="b" * 32, outcome="succeeded"),
        event(4, "job.started", stage="train", job="a" * 32),
        event(5, "job.finished", stage="train", job="a" * 32, outcome="succeeded"),
        event(6, "run.changed", run=run_id(1), state="succeeded"),
    ]
    return gateway


def test_follow_shows_stages_lines_and_models(finished: Gateway, call: Call, data: Path) -> None:
    result = call("train", "deploy", "-d", data, "-w", "mnist", "--follow")

    assert result.code == 0, result.err
    for text in ("ingest data features:9fd9d03", "▸ build", "✔ train", "epoch 1", "Step 1", "accuracy 0.98"):
        assert text in result.out
    assert "\x1b[2J" not in result.out
    assert "\\x1b[2Jepoch 2" in result.out
    assert f"Run {run_id(1)} succeeded in 4.0 s" in result.out


@pytest.mark.parametrize("stream", ["events", "logs"])
def test_follow_survives_a_restart_of_the_stack_and_repeats_nothing(
    finished: Gateway, call: Call, data: Path, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaos.cli.streams.time.sleep", lambda _: None)
    finished.break_off[stream] = 1

    result = call("train", "deploy", "-d", data, "-w", "mnist", "--follow")

    assert result.code == 0, result.err
    assert result.out.count("epoch 1") == result.out.count("epoch 2") == result.out.count("✔ train") == 1


def test_follow_of_a_run_that_fails_exits_1_and_says_why(finished: Gateway, call: Call, data: Path) -> None:
    reason = {"code": "train.exit", "message": "The script ended with code 1."}
    finished.becomes |= {"state": "failed", "trials": [], "error": reason, "times": {"failed": "2026-07-29T15:25:50Z"}}

    result = call("train", "deploy", "-d", data, "-w", "mnist", "--follow")

    assert result.code == 1
    assert "The script ended with code 1. [train.exit]" in result.out


def test_follow_of_what_was_trained_before_names_the_run_and_its_model(
    finished: Gateway, call: Call, data: Path
) -> None:
    finished.becomes |= {"same_as": run_id(7)}

    result = call("train", "deploy", "-d", data, "-w", "mnist", "--follow")

    assert f"already trained: run {run_id(7)}, model e23a2f1_9fd9d03:cebf65 (--force trains again)" in result.out
    assert f"already trained: run {run_id(7)}" in call("train", "info", "-w", "mnist", "-r", run_id(1)).out


def test_follow_shows_how_far_the_fetching_is(finished: Gateway, call: Call, tmp_path: Path) -> None:
    finished.events.insert(1, event(1, "job.started", stage="fetch", job="f" * 32) | {"sequence": "1"})
    finished.lines["fetch"] = [line(0, "fetched 1 of 2 files, 12.3 MB", stage="fetch", trial="5a4d")]
    manifest = tmp_path / "data.mf"
    manifest.write_text('{"url": "https://example.com/a.csv", "path": "a"}')

    result = call("train", "deploy", "-m", manifest, "-w", "mnist", "--follow")

    assert result.code == 0, result.err
    assert "▸ fetch" in result.out
    assert "5a4d fetched 1 of 2 files, 12.3 MB" in result.out


def test_follow_says_what_a_run_waits_for(finished: Gateway, call: Call, data: Path) -> None:
    finished.events.insert(0, event(0, "run.changed", run=run_id(1), state="waiting") | {"sequence": "1"})

    assert (
        "waiting for source (kaos train deploy -s" in call("train", "deploy", "-d", data, "-w", "mnist", "--follow").out
    )


def test_json_is_json_alone(finished: Gateway, call: Call, data: Path) -> None:
    plain, followed = (call("train", "deploy", "-d", data, "--json", *more) for more in ((), ("--follow",)))

    assert json.loads(plain.out)["run"]["id"] == run_id(1)
    told: list[dict[str, Any]] = [json.loads(text) for text in io.StringIO(followed.out)]
    assert told[-1]["run"]["state"] == "succeeded"
    assert {next(iter(each)) for each in told} == {"event", "line", "run"}


def test_the_template_is_a_bundle_that_ingest_takes(gateway: Gateway, call: Call, tmp_path: Path) -> None:
    made = templates.get("mnist", tmp_path)

    result = call(
        "train", "deploy", "-s", made / "model-train", "-d", made / "data", "-h", made / "hyperopt/params.json"
    )

    assert result.code == 0, result.err
    entries = _ingested(gateway.stored[f"default/source/{run_id(1)}/mnist.tar.zst"])
    assert source_root(entries) == ""
    assert [entry.path for entry in entries if entry.executable] == ["model/train"]
    assert f"default/data/{run_id(1)}/features.tar.zst" in gateway.stored
    assert "HYPERPARAMS (6 combinations)" in result.out


def test_deploy_of_what_get_brought_is_the_same_layout(gateway: Gateway, call: Call, source: Path) -> None:
    gateway.runs = [record(1, "succeeded")]
    brought = source.parent / "mnist-workspace/0123/code"
    brought.parent.mkdir(parents=True)
    source.rename(brought)

    call("train", "deploy", "-s", brought, "-w", "mnist")

    assert f"mnist/source/{run_id(2)}/mnist.tar.zst" in gateway.stored


def test_ctrl_c_ends_the_watching_and_says_that_the_run_goes_on(finished: Gateway, home: Path, data: Path) -> None:
    finished.held = "events"
    finished.events = finished.events[:2]
    command = [sys.executable, "-c", "from kaos.cli.main import main; main()", "train", "deploy", "-d", str(data), "-f"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        while "▸ build" not in watching.stdout.readline():
            assert watching.poll() is None
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
    finished.release.set()

    assert watching.returncode == 130
    assert f"The run goes on: kaos train logs -f -r {run_id(1)}" in err
    assert "Traceback" not in err


@pytest.fixture
def noise(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets no smaller, so that the bundle travels as it is."""
    monkeypatch.setattr(pack_module, "_SAMPLED_MIN_BYTES", 1)
    path = data / "noise.bin"
    path.write_bytes(os.urandom(300_000))
    return path


def test_what_does_not_get_smaller_travels_as_it_is(gateway: Gateway, call: Call, data: Path, noise: Path) -> None:
    result = call("train", "deploy", "-d", data, "-w", "mnist")
    noise.write_text("\n".join(str(number * number) for number in range(50_000)))
    assert call("train", "deploy", "-d", data, "-w", "mnist").code == 0

    assert [key.rpartition("/")[2] for key in gateway.stored] == ["data.tar", "data.tar.zst"]
    entries = _ingested(gateway.stored[f"mnist/data/{run_id(1)}/data.tar"])
    assert f"✔ Setting data bundle: /data:{tree_hash(entries)[:7]}\n" in result.out


def test_what_travels_as_it_is_goes_in_parts_too_and_again_where_it_must(
    gateway: Gateway, call: Call, data: Path, noise: Path
) -> None:
    gateway.part_size = 70_000
    gateway.refusals = [(503, "SlowDown")] * 3

    result = call("train", "deploy", "-d", data, "-w", "mnist")

    assert result.code == 0, result.err
    whole = b"".join(gateway.stored[f"mnist/data/{run_id(1)}/data.tar#{number}"] for number in range(1, 6))
    assert {entry.path: entry.size for entry in _ingested(whole)}[noise.name] == 300_000


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_is_written_to_meanwhile_ends_the_deployment_with_a_sentence(
    gateway: Gateway, call: Call, data: Path, noise: Path, monkeypatch: pytest.MonkeyPatch, *, compressed: bool
) -> None:
    if compressed:
        monkeypatch.setattr(pack_module, "_SAMPLED_MIN_BYTES", 1 << 30)
        read = pack_module._Hashing.read

        def truncated(self: Any, size: int = -1) -> bytes:
            noise.write_bytes(b"less")
            return read(self, size)

        monkeypatch.setattr(pack_module._Hashing, "read", truncated)
    else:
        submit = gateway.submit

        def submitted(workspace: str, body: dict[str, Any]) -> dict[str, Any]:
            noise.write_bytes(os.urandom(300_000))
            return submit(workspace, body)

        monkeypatch.setattr(gateway, "submit", submitted)

    result = call("train", "deploy", "-d", data, "-w", "mnist")

    assert (result.code, gateway.stored) == (1, {})
    assert f"{noise} has changed while it was being deployed" in result.err
    assert "[bundle.changed]" in result.err
