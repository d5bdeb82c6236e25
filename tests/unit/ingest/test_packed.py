"""How an object's bytes are kept: in memory, in the store, or in a file, by their number and kind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, cast

import pytest
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody

from functions.ingest import packed as packed_module
from functions.ingest.packed import Packed, hold
from shared.bucket import Stored
from shared.errors import Unreachable
from tests.archives import FORMATS

MANY = {f"f{number}": bytes([number]) * 100 for number in range(100)}


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_module, "_IN_MEMORY_MAX_BYTES", 1000)


class Store:
    """An object in a store that counts how often it is asked for it."""

    def __init__(self, content: bytes) -> None:
        self.content, self.asked = content, 0

    def open(self) -> Stored:
        self.asked += 1
        body = StreamingBody(cast("Any", BytesIO(self.content)), len(self.content))
        return Stored("etag", datetime.now(UTC), {}, len(self.content), self.open, body)


def read(packed: Packed) -> bytes:
    with packed.open() as file:
        return file.read()


def test_a_small_object_is_asked_for_once(held: ExitStack) -> None:
    store = Store(b"x" * 1000)
    packed = hold(store.open(), held)
    assert [read(packed), read(packed)] == [store.content] * 2
    assert store.asked == 1


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.zst"])
def test_a_large_one_is_asked_for_each_time(held: ExitStack, kind: str) -> None:
    store = Store(FORMATS[kind](MANY) + bytes(1000))
    packed = hold(store.open(), held)
    assert [read(packed), read(packed)] == [store.content] * 2
    assert (packed.size, store.asked) == (len(store.content), 3)


def test_a_large_zip_is_a_file_that_goes_in_the_end(held: ExitStack) -> None:
    store = Store(FORMATS["zip"](MANY))
    packed = hold(store.open(), held)
    assert [read(packed), read(packed)] == [store.content] * 2
    assert store.asked == 1
    held.close()
    with pytest.raises(ValueError, match="closed file"):
        read(packed)


@pytest.mark.parametrize("reading", [lambda stored: stored.read(), lambda stored: stored.read(9000) + stored.read(1)])
def test_a_store_that_breaks_off_is_told_from_a_short_object(reading: Callable[[Stored], bytes]) -> None:
    stored = Store(b"x" * 8000).open()
    with pytest.raises(Unreachable) as away:
        reading(replace(stored, body=StreamingBody(cast("Any", BytesIO(b"x" * 8000)), 9000)))
    assert isinstance(away.value.__cause__, IncompleteReadError)
