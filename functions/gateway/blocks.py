"""Lets the event loop consume a blocking iterator: a thread is busy only while the next block is being made."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Final

# What one send hands on: few enough steps for 500 MiB/s, small enough to forget.
BLOCK_BYTES: Final = 256 * 1024


def gathered(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same bytes in blocks worth a thread's while: lines and tar headers are too small."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


async def stepped(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The bytes of `pieces`, each block of them made in a thread when it is asked for."""
    blocks = gathered(pieces)
    while block := await asyncio.to_thread(next, blocks, b""):
        yield block
