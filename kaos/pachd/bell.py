"""Wakes those who wait for the state to change: for any change, or only for those to commits of one repo."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Bell:
    """Rung after every write, in the event loop's thread."""

    def __init__(self) -> None:
        self._version = 0
        self._changed = asyncio.Event()
        self._listeners: dict[int, set[asyncio.Event]] = {}

    def ring(self, repos: Iterable[int]) -> None:
        """Tells of a write that changed commits of these repos (rowids)."""
        self._version += 1
        rung, self._changed = self._changed, asyncio.Event()
        rung.set()
        for repo in repos:
            for listener in self._listeners.get(repo, ()):
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
    def listen(self, *repos: int) -> Iterator[asyncio.Event]:
        """An event that is set whenever commits of these repos change: clear it, read, then wait for it."""
        listener = asyncio.Event()
        for repo in repos:
            self._listeners.setdefault(repo, set()).add(listener)
        try:
            yield listener
        finally:
            for repo in repos:
                self._listeners[repo].discard(listener)
                if not self._listeners[repo]:
                    del self._listeners[repo]
