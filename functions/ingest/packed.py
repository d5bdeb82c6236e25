"""The bytes of a dropped object, to be read from the start as often as it takes.

Small ones are kept in memory. Large ones are asked for again, and are the same bytes or none. A large zip is written to
a file without a name, since reading a zip begins at its end.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import IO, Final

from functions.ingest.members import MAGIC_BYTES, is_zip
from shared.bucket import Readable, Stored

# As many of these as ingest has slots, and most bundles of source and all hyperparameters fit.
_IN_MEMORY_MAX_BYTES: Final = 8 << 20
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Packed:
    """An object's bytes: how many, and a way to read them from the first on, in a thread.

    `open` raises NotFound `object.gone` where they can't be had any more, and reading Unreachable.
    """

    size: int
    open: Callable[[], AbstractContextManager[Readable]]


def hold(stored: Stored, held: ExitStack) -> Packed:
    """The bytes of an object that was opened, and of which nothing has been read; until `held` is closed."""
    if stored.size <= _IN_MEMORY_MAX_BYTES:
        return Packed(stored.size, partial(BytesIO, stored.read()))
    head = stored.read(MAGIC_BYTES)
    if not is_zip(head):
        stored.close()
        return Packed(stored.size, lambda: closing(stored.again()))
    file = held.enter_context(tempfile.TemporaryFile(prefix="kaos-ingest-"))  # noqa: SIM115  # `held` closes it
    file.write(head)
    shutil.copyfileobj(stored, file, _PIECE_BYTES)
    return Packed(stored.size, partial(_from_start, file))


@contextmanager
def _from_start(file: IO[bytes]) -> Iterator[IO[bytes]]:
    file.seek(0)
    yield file
