"""How a process is told to end: by SIGTERM, or SIGINT from a terminal."""

import asyncio
import signal


def told() -> asyncio.Event:
    """An event that is set by the first such signal. To be called in the event loop of the main thread."""
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event
