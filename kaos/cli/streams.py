"""Keeps a stream going while the stack behind it restarts."""

import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from shared.errors import Unreachable

T = TypeVar("T")

# 15 s in all: what `kaos down` and `kaos up` take together, with room to spare.
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 7.5)


def resumed(read: Callable[[T | None], Iterator[T]], pauses: tuple[float, ...] = _PAUSES) -> Iterator[T]:
    """The items of `read(None)`; where that breaks off, of `read(last)`, which goes on after the last item given.

    A stack that did not answer in the first place, or does not come back, raises Unreachable.
    """
    last, failures = None, 0
    while True:
        try:
            for item in read(last):
                last, failures = item, 0
                yield item
        except Unreachable:
            if last is None or failures == len(pauses):
                raise
            time.sleep(pauses[failures])
            failures += 1
        else:
            return
