"""Failing well: each ends in the right state, with a sentence to act on, in list, info, logs and the exit code."""

from typing import Any

import pytest

from tests.e2e.conftest import DOCKERFILE, TRAIN, User

SHEBANG = "#!/usr/bin/env python3\n"


@pytest.mark.parametrize(
    ("bundle", "state", "code", "words"),
    [
        ({"dockerfile": DOCKERFILE + "RUN false\n"}, "failed", "build.run-failed", "line 5"),
        ({"dockerfile": "FROM ubuntu:22.04\n"}, "failed", "build.", "ubuntu"),
        ({"dockerfile": DOCKERFILE + "RUN apt-get install -y vim\n"}, "failed", "build.policy", "podman"),
        ({"train": f"{SHEBANG}raise ValueError('no such column')"}, "failed", "train.failed", "no such column"),
        ({"train": f"{SHEBANG}import sys; sys.exit(3)"}, "failed", "train.failed", "exit code 3"),
        ({"train": f"{SHEBANG}import os; os.kill(os.getpid(), 9)"}, "failed", "train.killed", "signal 9"),
        ({"train": f"{SHEBANG}print('nothing')"}, "failed", "train.no-output", "wrote nothing"),
        ({"train": "#!/bin/sh\nno-such-program"}, "failed", "train.failed", "no-such-program"),
    ],
)
def test_what_the_user_did_wrong_is_told(user: User, bundle: dict[str, str], state: str, code: str, words: str) -> None:
    done = user.call("train", "deploy", "-s", user.source(**bundle), "-d", user.data(), "--follow")
    assert done.returncode == 1
    assert words in done.stdout + done.stderr
    assert "Traceback (most recent call last)" not in done.stderr
    run = user.newest()
    assert run["state"] == state
    assert run["error"]["code"].startswith(code)
    assert words in run["error"]["message"]
    assert state in user.kaos("train", "list")
    assert not any(trial["model"] for trial in run["trials"])


def test_a_training_that_takes_too_much_memory_says_so(user: User) -> None:
    hungry = f"{SHEBANG}block = bytearray(400 * 2**20)\nprint(len(block))"
    run = user.deploy("-s", user.source(hungry), "-d", user.data(), "--memory", "128Mi")
    assert run["error"]["code"] == "train.out-of-memory"
    assert "128" in run["error"]["message"]


def test_the_log_up_to_a_failure_is_kept(user: User) -> None:
    user.deploy("-s", user.source(f"{SHEBANG}print('so far')\nraise SystemExit(2)"), "-d", user.data())
    assert "so far" in user.kaos("train", "logs", "-i", "0")


@pytest.mark.parametrize("missing", ["Dockerfile", "model/train", "model/requirements.txt"])
def test_a_source_bundle_that_lacks_a_file_is_refused_before_anything_is_uploaded(user: User, missing: str) -> None:
    source = user.source()
    (user.home / "mine" / missing).unlink()
    done = user.call("train", "deploy", "-s", source, "-d", user.data())
    assert done.returncode == 1
    assert missing.rpartition("/")[2] in done.stderr
    assert user.json("train", "list")["runs"] == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("broken.zip", b"PK\x03\x04 not really", "bundle."),
        ("empty.tar", b"", "bundle."),
        ("text.zip", b"hello", "bundle."),
    ],
)
def test_a_dropped_object_that_is_no_bundle_is_rejected(
    user: User, s3: Any, name: str, content: bytes, code: str
) -> None:
    s3.put_object(Bucket="kaos-inbox", Key=f"{user.workspace}/source/{name}", Body=content)
    run = _dropped(user)
    assert run["state"] == "rejected"
    assert run["error"]["code"].startswith(code)


def test_the_same_failing_bundle_once_mended_trains(user: User) -> None:
    assert user.deploy("-s", user.source(f"{SHEBANG}raise SystemExit(1)"), "-d", user.data(2))["state"] == "failed"
    assert user.deploy("-s", user.source(TRAIN))["trials"][0]["metrics"]["number"] == 2


def _dropped(user: User) -> Any:
    for _ in range(400):
        if user.json("train", "list")["runs"]:
            return user.ended()
    raise AssertionError("the object became no run")
