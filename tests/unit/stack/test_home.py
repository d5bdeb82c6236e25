"""KAOS_HOME: secrets that stay, files for one pair of eyes, logs with an end."""

import socket
import stat
from pathlib import Path

import pytest

from kaos.stack import home as home_module
from kaos.stack import ports
from kaos.stack.home import Home, open_log, prepare, secrets_of, trim_log
from shared.errors import KaosError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return prepare(tmp_path / "home")


def test_secrets_are_made_once_and_for_the_owner(home: Home) -> None:
    made = secrets_of(home)

    assert secrets_of(home) == made
    assert stat.S_IMODE((home.root / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    assert made.api_token not in repr(made)


@pytest.mark.parametrize("content", ["{", '{"api_token": "x"}'])
def test_damaged_secrets_are_not_replaced(home: Home, content: str) -> None:
    (home.root / "secrets.json").write_text(content)

    with pytest.raises(KaosError, match=r"secrets\.json"):
        secrets_of(home)
    assert (home.root / "secrets.json").read_text() == content


def test_a_long_log_is_kept_once_and_begun_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_module, "_LOG_MAX_BYTES", 10)
    log = home.log("nats")
    with open(open_log(log), "w") as writer:  # noqa: PTH123  # a descriptor, as a server has one
        writer.write("what was said\n")
        writer.flush()
        trim_log(log)
        writer.write("and now\n")

    assert log.read_text() == "and now\n"
    assert log.with_suffix(".log.1").read_text() == "what was said\n"
    trim_log(log)
    assert log.read_text() == "and now\n"


def test_ports_stay_over_restarts(home: Home) -> None:
    first = ports.choose(home, {})

    assert ports.choose(home, {}) == first
    assert len(set(vars(first).values())) == 5


def test_a_port_of_last_time_that_is_taken_is_replaced_and_one_that_is_asked_for_is_named(home: Home) -> None:
    first = ports.choose(home, {})
    with socket.create_server((ports.HOST, first.nats)):
        assert ports.choose(home, {}).nats != first.nats
        with pytest.raises(KaosError, match=rf"Port {first.nats} \(nats\) is in use"):
            ports.choose(home, {"nats": first.nats})
