"""What publishing promises, on a real server."""

from datetime import UTC, datetime

import pytest
from nats.errors import Error as NatsError

from shared.bus import Bus
from shared.events import Event, LogLine

# More than may be under way at once.
_LINES = 200


def line(seq: int) -> LogLine:
    return LogLine(
        workspace="demo", run="r1", stage="train", job="j", seq=seq, time=datetime.now(UTC), text=f"line {seq}"
    )


async def test_what_is_told_in_turn_is_there_in_that_order_and_once(bus: Bus) -> None:
    async with bus.in_turn() as publish:
        for seq in range(_LINES):
            await publish(line(seq))
            await publish(line(seq))
    assert (await bus.stream.stream_info("kaos-logs")).state.messages == _LINES
    found = [await bus.stream.get_msg("kaos-logs", number) for number in range(1, _LINES + 1)]
    assert [Event[LogLine].model_validate_json(message.data or b"").data.seq for message in found] == [*range(_LINES)]


async def test_what_could_not_be_told_is_raised_when_the_block_ends(bus: Bus) -> None:
    await bus.stream.delete_stream("kaos-logs")
    with pytest.raises(NatsError):
        async with bus.in_turn() as publish:
            await publish(line(0))
