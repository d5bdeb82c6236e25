"""Keeps the process small: what a large message took is given back to the system as soon as it is done with."""

import ctypes
from typing import Final

# From glibc's malloc.h. Left alone, the threshold grows to the largest block ever freed (a message of 19 MiB, held
# four times while it arrives), and each thread keeps an arena of such blocks: 200 MB after some uploads, not 100.
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 256 * 1024
_ARENAS: Final = 2


def return_large_blocks() -> None:
    """To be called before there are threads. Does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_ARENA_MAX, _ARENAS)
