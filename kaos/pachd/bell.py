"""Wakes those who wait for the state to change: for any change, or only for those to one thing."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

# What a change is about: ("repo", rowid) for its commits, ("commit", rowid) for its end, or EVERY_JOB.
Thing = tuple[str, int]
EVERY_JOB: Final[Thing] = ("jobs", 0)


class Bell:
    """Rung after every write, in the event loop's thread."""

    def __init__(self) -> None:
        self._version = 0
        self._changed = asyncio.Event()
        self._listeners: dict[Thing, set[asyncio.Event]] = {}

    def ring(self, things: Iterable[Thing]) -> None:
        """Tells of a write that changed these."""
        self._version += 1
        rung, self._changed = self._changed, asyncio.Event()
        rung.set()
        for thing in things:
            for listener in self._listeners.get(thing, ()):
                listener.set()

    def version(self) -> int:
        """Grows with every write; take it before reading what you then wait to change."""
        return self._version

    async def changed(self, since: int) -> int:
        """Waits until there was a write after `since`; returns the version then."""
        while self._version == since:
            await self._changed.wait()
        return self._version

    @contextmanager
    def listen(self, *things: Thing) -> Iterator[asyncio.Event]:
        """An event that is set whenever one of these changes: clear it, read, then wait for it."""
        listener = asyncio.Event()
        for thing in things:
            self._listeners.setdefault(thing, set()).add(listener)
        try:
            yield listener
        finally:
            for thing in things:
                self._listeners[thing].discard(listener)
                if not self._listeners[thing]:
                    del self._listeners[thing]
