"""kill -9 of any one process of the stack, at any moment of a run, still ends in exactly one model."""

import os
import signal
import time
from typing import Any

import pytest

from tests.e2e.conftest import TRAIN, User

# Long enough to be killed in, short enough to wait for.
SLOW = TRAIN.replace("out = pathlib", "import time; time.sleep(0.6)\nout = pathlib", 1)


@pytest.mark.parametrize("moment", ["waiting for the build", "training"])
@pytest.mark.parametrize("server", ["nats", "s3", "pachd", "serve"])
def test_a_killed_server_costs_no_run(user: User, server: str, moment: str) -> None:
    run = user.json("train", "deploy", "-s", user.source(SLOW), "-d", user.data(9))["run"]
    if moment == "training":
        _until_state(user, run["id"], "training")
    os.kill(user.stack.pids()[server], signal.SIGKILL)
    ended = _ended(user, run["id"])
    assert ended["state"] == "succeeded", ended["error"]
    [trial] = ended["trials"]
    assert trial["metrics"]["number"] == 9
    assert len(user.json("train", "list")["runs"]) == 1


def _until_state(user: User, run: str, state: str) -> None:
    deadline = time.monotonic() + 60
    while user.json("train", "info", "-r", run)["state"] != state:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # the command line is asked again and again, as a person would


def _ended(user: User, run: str) -> Any:
    """As User.ended, but nobody answers while a server restarts."""
    deadline = time.monotonic() + 90
    while True:
        done = user.call("train", "info", "-r", run, "--json")
        if done.returncode == 0:
            found = user.json("train", "info", "-r", run)
            if found["state"] in {"succeeded", "failed", "killed", "rejected"}:
                return found
        assert time.monotonic() < deadline, done.stderr or done.stdout
        time.sleep(0.1)  # as above
