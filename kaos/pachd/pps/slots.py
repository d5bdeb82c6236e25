"""What of the machine is free: datums that don't fit wait in the order they came."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from kaos.pachd.runtimes.container import Limits

# Cores are counted in thousandths: sums of fractions would drift, and whoever asks for all of them wait for ever.
_MILLI: Final = 1000
# What one takes who does not say: a core, as if every trial were one thread.
_USUAL: Final = 1 * _MILLI


@dataclass(frozen=True)
class Capacity:
    """What all datums together may use: cores, bytes of memory, and the GPUs by their indices."""

    cores: float
    memory: int
    gpus: tuple[int, ...] = ()


class Slots:
    """Hands out the capacity; the next in line is served before those behind it, so that nobody starves."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._all = self._free = _millis(capacity.cores)
        self._memory = capacity.memory
        self._gpus = list(capacity.gpus)
        self._waiting: deque[tuple[Limits, asyncio.Future[Limits]]] = deque()

    def why_never(self, asked: Limits) -> str:
        """Why this can't ever be given, as a phrase; empty where it can."""
        if (asked.cpu or 0) > self.capacity.cores:
            return f"{asked.cpu:g} cores are asked for, and this machine gives {self.capacity.cores:g}"
        if (asked.memory or 0) > self.capacity.memory:
            return f"{asked.memory:,} bytes of memory are asked for, and this machine has {self.capacity.memory:,}"
        if len(asked.gpus) > len(self.capacity.gpus):
            return f"{len(asked.gpus)} GPUs are asked for, and this machine has {len(self.capacity.gpus)}"
        return ""

    @asynccontextmanager
    async def take(self, asked: Limits) -> AsyncIterator[Limits]:
        """Waits until `asked` is free, and gives it, with the GPUs that are meant."""
        turn: asyncio.Future[Limits] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, turn))
        self._serve()
        try:
            given = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(turn.result())
            else:
                self._waiting.remove((asked, turn))
                self._serve()
            raise
        try:
            yield given
        finally:
            self._give_back(given)

    def _serve(self) -> None:
        while self._waiting:
            asked, turn = self._waiting[0]
            cores = _cores(asked)
            # One that asks for more than a small machine has by default still runs, alone.
            fits = cores <= self._free or self._free == self._all
            if not fits or (asked.memory or 0) > self._memory or len(asked.gpus) > len(self._gpus):
                return
            self._waiting.popleft()
            self._free -= cores
            self._memory -= asked.memory or 0
            gpus = tuple(self._gpus.pop(0) for _ in asked.gpus)
            turn.set_result(replace(asked, gpus=gpus))

    def _give_back(self, given: Limits) -> None:
        self._free += _cores(given)
        self._memory += given.memory or 0
        self._gpus = sorted([*self._gpus, *given.gpus])
        self._serve()


def _cores(limits: Limits) -> int:
    return _USUAL if limits.cpu is None else _millis(limits.cpu)


def _millis(cores: float) -> int:
    return max(1, round(cores * _MILLI))
