"""deploy/nats.toml is what the server ends up with, and what the functions ask for."""

import tomllib
from importlib.resources import files

import functions.build
import functions.logs
import functions.train
from deploy.apply import apply
from shared.bus import Bus

DECLARED = tomllib.loads(files("deploy").joinpath("nats.toml").read_text())


async def test_applying_twice_changes_nothing_and_keeps_what_is_there(bus: Bus) -> None:
    await bus.stream.publish("kaos.mnist.run.01a.received", b"{}")
    await apply(bus.stream)
    assert (await bus.stream.stream_info("kaos-events")).state.messages == 1
    names = {stream.config.name for stream in await bus.stream.streams_info()}
    assert names == {entry["name"] for entry in DECLARED["stream"]} | {
        f"KV_{entry['name']}" for entry in DECLARED["bucket"]
    }


async def test_consumers_count_no_attempts_and_acknowledge_explicitly(bus: Bus) -> None:
    for entry in DECLARED["consumer"]:
        config = (await bus.stream.consumer_info("kaos-events", entry["name"])).config
        assert (config.max_deliver, config.ack_wait, config.ack_policy) == (-1, 30.0, "explicit")
        assert sorted(config.filter_subjects or [config.filter_subject]) == sorted(entry["filter_subjects"])


def test_every_function_has_its_consumer_with_room_for_its_slots() -> None:
    room = {entry["name"]: entry["max_ack_pending"] for entry in DECLARED["consumer"]}
    for function in (*functions.build.FUNCTIONS, *functions.train.FUNCTIONS, *functions.logs.FUNCTIONS):
        assert room[function.consumer] >= 2 * function.slots
