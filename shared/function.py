"""Declares what wakes a function. The function itself stays a plain async callable, called directly in tests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from shared.events import Data, Event

Handler: TypeAlias = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Function:
    """A handler, the durable consumer that wakes it (declared in deploy/nats.toml) and what it decodes.

    `slots` is how many events of this consumer one process works on at a time. `vital`: a run whose event was given up
    can't go on, and ends.
    """

    name: str
    consumer: str
    wakes_on: type[Data]
    handler: Handler
    slots: int
    vital: bool = True

    async def __call__(self, event: Event[Any], **dependencies: Any) -> None:
        """Handles one event."""
        await self.handler(event, **dependencies)


def function(
    *, wakes_on: type[Data], consumer: str, slots: int = 4, vital: bool = True
) -> Callable[[Handler], Function]:
    """Marks an async function as the handler of `consumer`'s events, whose data is `wakes_on`."""

    def declare(handler: Handler) -> Function:
        return Function(handler.__name__, consumer, wakes_on, handler, slots, vital)

    return declare
