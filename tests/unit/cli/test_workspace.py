"""kaos workspace kill: nothing goes unless somebody has seen what, and said yes."""

import io
import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, record


class Terminal(io.StringIO):
    """Standard input where a person sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def full(gateway: Gateway) -> Gateway:
    gateway.add_workspace("mnist")
    gateway.runs = [record(2, "training"), record(1, "succeeded")]
    gateway.contents = {"name": "mnist", "runs": 2, "unfinished": 1, "models": 6}
    gateway.contents |= {"pachyderm_bytes": 2_000_000, "inbox_bytes": 500_000, "log_bytes": 1000}
    return gateway


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 130), ("", 130)])
def test_a_person_is_asked_and_told_what_goes(
    full: Gateway, call: Call, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    result = call("workspace", "kill", "-n", "mnist")

    assert "mnist with 2 runs (1 not over), 6 models, 2.5 MB" in result.out + result.err
    assert (result.code, [*full.workspaces]) == (code, [] if code == 0 else ["mnist"])


def test_a_program_must_say_yes(full: Gateway, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    refused = call("workspace", "kill", "-n", "mnist")
    assert (refused.code, "2 runs" in refused.err, [*full.workspaces]) == (2, True, ["mnist"])

    done = call("workspace", "kill", "-n", "mnist", "--yes")
    assert "Workspace mnist is gone, with its 2 runs, 1 of them killed." in done.out
    assert full.workspaces == {}


def test_what_is_gone_is_no_longer_set(full: Gateway, call: Call, home: Path) -> None:
    call("workspace", "set", "-n", "mnist")
    call("train", "list")

    assert json.loads(call("workspace", "kill", "--yes", "--json").out)["killed"] == 1
    remembered = json.loads((home / "cli.json").read_text())
    assert (remembered["workspace"], remembered["runs"]) == ("", {})


def test_an_unknown_workspace_is_a_sentence(gateway: Gateway, call: Call) -> None:
    result = call("workspace", "kill", "-n", "nowhere", "--yes")

    assert (result.code, "workspace.unknown" in result.err) == (1, True)
