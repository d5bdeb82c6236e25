"""Tells how far the fetching is: a line at most once a second, for the log of the job."""

import threading
import time
from collections.abc import Callable
from typing import Final

_EVERY_SECONDS: Final = 1.0
_THOUSAND: Final = 1000
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Progress:
    """Counts files, bytes and retries; several threads may tell it. `bytes` are those that files have now."""

    def __init__(self, files: int, say: Callable[[str], None]) -> None:
        self.bytes = 0
        self._files, self._say = files, say
        self._done, self._retries, self._last_trouble = 0, 0, ""
        self._lock = threading.Lock()
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> int:
        """Notes bytes that were written (or, below 0, given up); returns how many there are now."""
        with self._lock:
            self.bytes += count
            return self.bytes

    def done(self) -> None:
        """Notes a file that is complete."""
        with self._lock:
            self._done += 1

    def retry(self, why: str) -> None:
        """Notes that something is tried again."""
        with self._lock:
            self._retries, self._last_trouble = self._retries + 1, why

    def tick(self) -> None:
        """Tells, where it has not told within the last second."""
        now = time.monotonic()
        if now - self._said >= _EVERY_SECONDS:
            self._said = now
            self._say(self._sentence())

    def end(self) -> None:
        """Tells for the last time."""
        self._say(f"{self._sentence()} in {time.monotonic() - self._began:.1f} s")

    def _sentence(self) -> str:
        with self._lock:
            retries = f" ({self._retries:,} retries, the last because {self._last_trouble})" if self._retries else ""
            return f"fetched {self._done:,} of {self._files:,} files, {size(self.bytes)}{retries}"


def size(count: float) -> str:
    """A number of bytes as people read it: `12.3 MB`."""
    for unit in _UNITS[:-1]:
        if count < _THOUSAND:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _THOUSAND
    return f"{count:.1f} {_UNITS[-1]}"
