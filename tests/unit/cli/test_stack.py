"""Which stack and workspace commands use: init, workspace, events, and what happens when nobody answers."""

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import TOKEN, Gateway, event, run_id


def test_no_stack_is_a_sentence_and_exit_3(call: Call) -> None:
    result = call("train", "list")

    assert result.code == 3
    assert "kaos up --detach" in result.err
    assert "Traceback" not in result.err


def test_a_stack_that_does_not_answer_exits_3(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("KAOS_ENDPOINT", address)

    result = call("train", "list")

    assert result.code == 3
    assert f"No kaos stack answers at {address}" in result.err


def test_a_wrong_token_is_the_gateways_own_sentence(
    gateway: Gateway, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAOS_TOKEN", "wrong")

    result = call("train", "list")

    assert result.code == 1
    assert "The token is missing or wrong. [auth.token]" in result.err


def test_init_keeps_the_token_for_its_owner_alone(
    gateway: Gateway, call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAOS_TOKEN")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{TOKEN}\n"))

    result = call("init", "-e", gateway.url, "--token-stdin")

    assert result.code == 0, result.err
    assert json.loads((home / "client.json").read_text()) == {"endpoint": gateway.url, "token": TOKEN}
    assert (home / "client.json").stat().st_mode & 0o777 == 0o600
    assert TOKEN not in result.out + result.err
    monkeypatch.delenv("KAOS_ENDPOINT")
    assert call("workspace", "list").code == 0


def test_init_writes_nothing_where_the_token_is_wrong(
    gateway: Gateway, call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAOS_TOKEN", "wrong")

    assert call("init", "-e", gateway.url).code == 1
    assert not (home / "client.json").exists()


def test_a_kept_token_is_sent_to_no_other_endpoint(
    gateway: Gateway, call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAOS_TOKEN")
    home.mkdir()
    (home / "client.json").write_text(json.dumps({"endpoint": "https://kaos.example.org", "token": TOKEN}))

    assert "[auth.token]" in call("train", "list").err  # the gateway got none


@pytest.mark.parametrize("endpoint", ["ftp://x", "kaos", "http://", "http://user:pass@host", "http://host:99999"])
def test_endpoints_that_are_none_are_refused(call: Call, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOS_TOKEN", "x")

    assert "[endpoint.malformed]" in call("init", "-e", endpoint).err


def test_what_is_no_gateway_is_told(call: Call, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOS_ENDPOINT", f"{gateway.url}/store")  # answers 200, with nothing in it

    assert "[stack.foreign]" in call("train", "list").err


def test_a_workspace_that_is_made_is_set(gateway: Gateway, call: Call) -> None:
    assert call("workspace", "create", "-n", "digits").code == 0
    gateway.add_workspace("mnist")

    out = call("workspace", "list").out
    assert [row.split()[:2] for row in out.splitlines()[-2:]] == [["0", "digits"], ["1", "mnist"]]
    assert out.splitlines()[-2].endswith("✔")
    assert call("workspace", "set", "-i", "1").code == 0
    assert "mnist" in call("workspace", "info").out
    assert call("workspace", "set", "-i", "7").code == 1
    assert call("workspace", "set").code == 2


@pytest.mark.parametrize("name", ["Upper", "a.b", "*", "a b", ""])
def test_names_that_can_not_be_are_refused(gateway: Gateway, call: Call, name: str) -> None:
    assert "[workspace.name]" in call("workspace", "create", "-n", name).err


def test_an_unknown_workspace_is_not_set(gateway: Gateway, call: Call) -> None:
    assert "[workspace.unknown]" in call("workspace", "set", "-n", "nowhere").err


def test_a_state_file_of_another_making_is_named(gateway: Gateway, call: Call, home: Path) -> None:
    home.mkdir()
    (home / "cli.json").write_text("{")

    assert str(home / "cli.json") in call("train", "list").err


def test_events_are_told_in_words_and_as_they_are(gateway: Gateway, call: Call) -> None:
    gateway.add_workspace("mnist")
    gateway.events = [
        event(1, "object.created", key="mnist/data/x.tar", size=5),
        event(2, "run.changed", run=run_id(1), state="rejected", message="\x1b]0;title"),
        event(3, "thing.unheard", what="of"),
    ]

    told = call("events", "-w", "mnist", "-f").out
    assert "rejected  \\x1b]0;title" in told
    assert "thing.unheard" in told
    lines = call("events", "-w", "mnist", "--after", "1", "--json").out.splitlines()
    assert [json.loads(text)["sequence"] for text in lines] == ["2", "3"]


def test_templates_are_listed_and_copied_once(call: Call, tmp_path: Path) -> None:
    assert "mnist" in call("template", "list").out
    assert call("template", "get", "--name", "mnist").code == 0
    assert (tmp_path / "mnist/model-train/mnist/model/train").stat().st_mode & 0o111
    assert "[template.exists]" in call("template", "get", "--name", "mnist").err
    assert "[template.unknown]" in call("template", "get", "--name", "other").err


def test_help_imports_nothing_that_it_does_not_show() -> None:
    heavy = "{'http.client', 'rich', 'pydantic', 'nats', 'grpc', 'boto3', 'tarfile'}"
    program = (
        f"import sys; from kaos.cli.main import kaos, run; run(kaos, ['--help']); print({heavy} & {{*sys.modules}})"
    )

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert shown.splitlines()[-1] == "set()"
    assert "train" in shown


def test_a_reader_that_leaves_is_no_error(gateway: Gateway, home: Path) -> None:
    gateway.add_workspace("mnist")
    gateway.events = [event(n, "job.started", stage="train", job="a" * 32) for n in range(1, 20_000)]
    command = f"{sys.executable} -c 'from kaos.cli.main import main; main()' events -w mnist | head -1"

    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert ended.stdout.count("\n") == 1
    assert ended.stderr == ""


def test_bugs_are_a_sentence_too(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaos.templates.every", lambda: 1 / 0)

    result = call("template", "list")

    assert result.code == 1
    assert "KAOS_DEBUG=1" in result.err
