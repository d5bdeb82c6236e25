"""What `kaos status` says of a server that is not well."""

from pathlib import Path

import pytest

from kaos.stack import status
from kaos.stack.home import Home, prepare
from kaos.stack.record import ServerRecord

KNOWN = ServerRecord(pid=1, port=1, started=0, restarts=0, crashes=0, last_end="", seconds_to_answer=0)


@pytest.mark.parametrize(
    ("state", "changes", "says"),
    [
        ("up", {}, ""),
        ("up", {"crashes": 2, "last_end": "exit code 1"}, ""),
        ("up", {"crashes": 3, "last_end": "exit code 1"}, "ended 3 times in a row"),
        ("silent", {}, "does not answer"),
        ("down", {"last_end": "signal 9 (SIGKILL)"}, "ended with signal 9 (SIGKILL)"),
    ],
)
def test_trouble_is_a_sentence(state: str, changes: dict[str, object], says: str) -> None:
    told = status._trouble(Home(Path("/home")), "nats", state, ServerRecord(**{**vars(KNOWN), **changes}))

    assert says in told
    assert bool(told) == bool(says)
    assert not told or "/home/logs/nats.log" in told


def test_how_jobs_run_is_what_the_engine_said_last(tmp_path: Path) -> None:
    home = prepare(tmp_path)
    assert status.runtime_of(home) == ""
    home.log("pachd").write_text('{"address": "a", "how": "then"}\n{"address": "a", "how": "now"}\nother\n')
    assert status.runtime_of(home) == "now"
    home.log("pachd").write_text('{"address": "a"')
    assert status.runtime_of(home) == ""


async def test_where_nothing_runs_there_is_no_status(tmp_path: Path) -> None:
    assert await status.look(prepare(tmp_path)) is None
    assert await status.look(Home(tmp_path / "nothing")) is None
