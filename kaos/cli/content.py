"""What is uploaded: a known number of bytes, of which any span can be read, as often as it is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

# Larger pieces are sent no faster, and each connection holds one.
PIECE_BYTES: Final = 1 << 20


class Content(Protocol):
    """`size` in bytes; `pieces` are the bytes of a span, read as they are asked for, several spans at once."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start`. Raises KaosError where they are not there any more."""
        ...


@dataclass(frozen=True)
class FileContent:
    """A file that nobody else changes, such as one that was written to be uploaded."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.path.stat().st_size

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start`."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            while length and (piece := file.read(min(length, PIECE_BYTES))):
                length -= len(piece)
                yield piece
