"""kaos workspace kill: nothing of a workspace is left, and one of the same name begins anew."""

import asyncio
from typing import Any

from kaos.stack import record
from kaos.stack.home import Home, secrets_of
from shared import bus, workspaces
from shared.settings import Settings
from tests.e2e.conftest import TRAIN, Stack, User
from tests.e2e.test_ends import SLEEPS, sleeping, until


def objects(s3: Any, workspace: str) -> list[str]:
    """The keys of all buckets that begin with the workspace."""
    return [
        stored["Key"]
        for bucket in s3.list_buckets()["Buckets"]
        for stored in s3.list_objects_v2(Bucket=bucket["Name"], Prefix=f"{workspace}/").get("Contents", [])
    ]


def begin_end(stack: Stack, workspace: str) -> None:
    """The first step of a deletion, and no other."""
    home = Home(stack.home)
    known = record.read(home)
    assert known is not None
    url, password = f"nats://127.0.0.1:{known.ports.nats}", secrets_of(home).nats_password

    async def work() -> None:
        connection = await bus.connect(
            Settings.model_validate({"nats_url": url, "nats_user": "kaos", "nats_password": password}), source="test"
        )
        await workspaces.begin_end(connection, workspace)
        await connection.close()

    asyncio.run(work())


def test_a_killed_workspace_leaves_nothing_and_its_name_can_be_used_again(user: User, s3: Any) -> None:
    seconds = "3600.75"
    first = user.deploy("-s", user.source(), "-d", user.data(1), "-h", user.params(add=[1, 2]))
    assert first["state"] == "succeeded"
    user.kaos("train", "deploy", "-s", user.source(SLEEPS.format(seconds=seconds)))
    until(lambda: sleeping(seconds))

    asked = user.call("workspace", "kill", "-n", user.workspace)
    assert asked.returncode == 2
    assert "2 runs (1 not over), 2 models" in asked.stderr
    assert user.json("train", "list")["runs"]

    gone = user.json("workspace", "kill", "-n", user.workspace, "--yes")
    assert gone == {"name": user.workspace, "runs": 2, "killed": 1}
    until(lambda: not sleeping(seconds), bound=2.0)
    assert "workspace.unknown" in user.call("train", "list", "-w", user.workspace).stderr
    assert user.workspace not in [each["name"] for each in user.json("workspace", "list")["workspaces"]]
    assert objects(s3, user.workspace) == []
    again = user.call("workspace", "kill", "-n", user.workspace, "--yes")
    assert (again.returncode, "workspace.unknown" in again.stderr) == (1, True)

    user.kaos("workspace", "create", "-n", user.workspace)
    assert user.json("train", "list")["runs"] == []
    second = user.deploy("-s", user.source(TRAIN), "-d", user.data(1), "-h", user.params(add=[1, 2]))
    assert (second["state"], second["same_as"]) == ("succeeded", "")
    assert [trial["state"] for trial in second["trials"]] == ["succeeded", "succeeded"]
    assert first["id"] not in user.kaos("events", "--json")


def test_a_deletion_that_broke_off_is_finished_and_takes_nothing_in_meanwhile(user: User, stack: Stack) -> None:
    """As after a crash between its first step and the others: the stack is told to begin, and then again."""
    user.deploy("-s", user.source(), "-d", user.data())
    begin_end(stack, user.workspace)
    assert "workspace.ending" in user.call("train", "deploy", "-d", user.data(2), "-w", user.workspace).stderr
    assert "workspace.ending" in user.call("workspace", "create", "-n", user.workspace).stderr
    user.kaos("workspace", "kill", "-n", user.workspace, "--yes")
    user.kaos("workspace", "create", "-n", user.workspace)
    assert user.deploy("-s", user.source(), "-d", user.data())["state"] == "succeeded"
