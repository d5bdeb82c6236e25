"""kaos up, status and down: what comes up, stays up, comes back, and goes."""

import json
import os
import signal
import socket
import subprocess
from contextlib import closing

import pytest

from tests.integration.stack.conftest import BOUND, KAOS, Stack, is_gone, until


def test_what_is_up_is_well_and_later_commands_use_it(stack: Stack) -> None:
    told = json.loads(stack.call("status", "--json").stdout)

    assert told["up"] is True
    assert {each["name"]: each["state"] for each in told["servers"]} == dict.fromkeys(
        ("nats", "s3", "pachd", "serve"), "up"
    )
    assert stack.call("workspace", "create", "-n", "early").returncode == 0
    shown = stack.call("status")
    assert shown.returncode == 0
    assert told["endpoint"] in shown.stdout


@pytest.mark.parametrize("name", ["nats", "s3", "pachd", "serve"])
def test_a_killed_server_is_back_at_its_address_with_its_state(stack: Stack, name: str) -> None:
    leave(stack, name)
    before = {each.name: each for each in stack.known().servers}
    pid = before[name].pid
    assert pid

    os.kill(pid, signal.SIGKILL)
    until(lambda: stack.pids().get(name, pid) != pid)
    until(lambda: stack.known().well)

    after = {each.name: each for each in stack.known().servers}
    assert after[name].restarts == before[name].restarts + 1
    assert after[name].address == before[name].address
    assert is_there(stack, name)
    assert "signal 9 (SIGKILL)" in stack.home.log("stack").read_text()


def leave(stack: Stack, name: str) -> None:
    """Something in the state of that server; what the functions have is all in the others."""
    match name:
        case "nats":
            stack.in_nats(lambda stream: stream.publish("kaos.kept.run.x.kept", b"kept"))
        case "s3":
            with closing(stack.store()) as store:
                store.put_object(Bucket="kaos-logs", Key="kept", Body=b"kept")
        case _:
            assert stack.call("workspace", "create", "-n", f"kept-{name}").returncode == 0


def is_there(stack: Stack, name: str) -> bool:
    match name:
        case "nats":
            found = stack.in_nats(lambda stream: stream.get_last_msg("kaos-events", "kaos.kept.run.x.kept"))
            return bool(found.data == b"kept")
        case "s3":
            with closing(stack.store()) as store:
                return bool(store.get_object(Bucket="kaos-logs", Key="kept")["Body"].read() == b"kept")
        case _:
            return f"kept-{name}" in stack.call("workspace", "list").stdout


def test_a_killed_supervisor_leaves_nothing_behind_and_everything_on_disk(stack: Stack) -> None:
    assert stack.call("workspace", "create", "-n", "survivor").returncode == 0
    ports, pids = stack.known().ports, stack.pids()

    os.kill(pids["supervisor"], signal.SIGKILL)
    until(lambda: all(map(is_gone, pids.values())))

    assert stack.call("status").returncode == 3
    assert stack.call("down").returncode == 0
    stack.up()
    assert stack.known().ports == ports
    assert "survivor" in stack.call("workspace", "list").stdout


def test_down_ends_all_of_it_and_the_foreground_takes_up_where_it_was(stack: Stack) -> None:
    assert stack.call("workspace", "create", "-n", "continued").returncode == 0
    ports, pids = stack.known().ports, stack.pids()

    assert stack.call("down").returncode == 0
    assert all(map(is_gone, pids.values()))
    assert "not up" in stack.call("down").stdout
    told = stack.call("status", "--json")
    assert (told.returncode, json.loads(told.stdout)["up"]) == (3, False)
    assert stack.call("workspace", "list").returncode == 3

    with subprocess.Popen([*KAOS, "up"], env=stack.environment, stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout
        until(lambda: "kaos is up" in ((foreground.stdout and foreground.stdout.readline()) or ""))
        assert stack.known().ports == ports
        assert "continued" in stack.call("workspace", "list").stdout
        pids = stack.pids()
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(BOUND) == 0
        assert "kaos is down" in foreground.stdout.read()
    assert all(map(is_gone, pids.values()))


def test_a_second_one_in_the_same_home_is_refused(stack: Stack) -> None:
    refused = stack.call("up", "--detach")

    assert refused.returncode == 1
    assert f"process {stack.known().pid}" in refused.stderr
    assert "[stack.running]" in refused.stderr
    assert stack.known().well


def test_a_server_that_hangs_is_told(stack: Stack) -> None:
    pid = stack.pids()["nats"]
    os.kill(pid, signal.SIGSTOP)
    try:
        told = stack.call("status")
    finally:
        os.kill(pid, signal.SIGCONT)

    assert told.returncode == 1
    assert "it runs, but does not answer" in told.stdout


def test_a_taken_port_is_named(other: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = other.call("up", "--detach", "--s3-port", str(port))

    assert refused.returncode == 1
    assert f"Port {port} (s3) is in use" in refused.stderr
    assert other.status() is None


def test_what_does_not_come_up_says_why(other: Stack) -> None:
    (other.root / "nats").mkdir(parents=True)
    (other.root / "nats/jetstream").write_text("not a directory")

    refused = other.call("up", "--detach")

    assert refused.returncode == 1
    assert "nats ended with exit code 1 before it answered, saying: " in refused.stderr
    assert "Can't start JetStream" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert other.status() is None


def test_a_home_that_can_not_be_is_a_sentence(other: Stack) -> None:
    other.root.write_text("a file")

    refused = other.call("up", "--detach")

    assert refused.returncode == 1
    assert "[home.unusable]" in refused.stderr
    other.root.unlink()
