"""What README shows works as it stands there."""

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.e2e.conftest import User

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_six_lines_subscribe_to_status_events(user: User) -> None:
    [snippet] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    credentials = user.stack.credentials()
    env = {"PATH": os.environ["PATH"], "NATS_URL": credentials["NATS_URL"], "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "-c", snippet], env=env, stdout=subprocess.PIPE, text=True) as subscriber:
        try:
            assert subscriber.stdout is not None
            run = user.deploy("-s", user.source(), "-d", user.data())
            # It may have begun to listen a moment late; what is told from then on must reach it.
            second = user.deploy("-d", user.data(2))
            wanted = f"kaos.{user.workspace}.run.{second['id']}.succeeded"
            assert any(wanted in line for line in subscriber.stdout)
        finally:
            subscriber.terminate()
    assert run["state"] == "succeeded"


def test_the_api_answers_the_request_shown(user: User) -> None:
    user.deploy("-s", user.source(), "-d", user.data())
    credentials = user.stack.credentials()
    [path] = re.findall(r"\$KAOS_ENDPOINT(/v1\S+)", README)
    url = credentials["KAOS_ENDPOINT"] + path.replace("/default/", f"/{user.workspace}/")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {credentials['KAOS_TOKEN']}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert b'"state":"succeeded"' in answer.read()


def test_every_command_of_the_table_exists(user: User) -> None:
    rows = re.findall(r"^\| (`kaos .*?) \|", README, re.MULTILINE)
    commands = [each for row in rows for each in re.findall(r"`kaos ([a-z][a-z -]*?)(?: \[| \\| -|`)", row)]
    assert {"up", "init", "train deploy", "train get"} <= set(commands)
    for command in commands:
        assert user.call(*command.split(), "--help").returncode == 0, command
