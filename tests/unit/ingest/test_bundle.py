"""A bundle is read twice, and its content is the same both times or it is not sent."""

from collections.abc import Callable
from functools import partial
from io import BytesIO

import pytest

from functions.ingest import bundle
from functions.ingest.archive import Limits
from functions.ingest.bundle import Bundle
from functions.ingest.packed import Packed
from shared.errors import NotFound, Reject
from shared.names import inbox_key
from tests.archives import FORMATS, SOURCE, make_tar

LIMITS = Limits(max_bytes=10_000_000, max_entries=100)


def packed(*contents: bytes) -> Packed:
    """An object that has another content each time it is opened."""
    turns = iter(contents)
    return Packed(len(contents[0]), lambda: BytesIO(next(turns)))


def read(key: str, source: Packed) -> Bundle:
    return bundle.read(inbox_key(key), source, LIMITS)


def contents(found: Bundle) -> dict[str, bytes]:
    return {path: b"".join(content) for path, content in found.files()}


@pytest.mark.parametrize("pack", FORMATS.values(), ids=FORMATS)
def test_the_files_come_as_often_as_they_are_asked_for(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    found = read("ws/data/d.tar", Packed(1, partial(BytesIO, pack({"a/b": b"1", "c": b""}))))
    for _ in range(2):
        assert contents(found) == {f"/{found.id}/a/b": b"1", f"/{found.id}/c": b""}


def test_a_source_bundle_is_the_same_with_and_without_a_folder_around_it() -> None:
    bare = read("ws/source/m.tar", packed(*[make_tar(SOURCE)] * 2))
    inside = read("ws/source/m.tar", packed(*[make_tar({f"m/{path}": text for path, text in SOURCE.items()})] * 2))
    assert bare.id == inside.id
    assert contents(bare) == contents(inside) == {f"/{bare.id}/{path}": text for path, text in SOURCE.items()}


@pytest.mark.parametrize(
    "other", [{"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""}], ids=["content", "path", "one more"]
)
def test_another_content_the_second_time_is_not_taken_for_the_first(other: dict[str, bytes]) -> None:
    found = read("ws/data/d.tar", packed(make_tar({"a": b"1"}), make_tar(other)))
    with pytest.raises(NotFound) as gone:
        contents(found)
    assert gone.value.code == "object.gone"


def test_every_guard_holds_the_second_time_too() -> None:
    for hostile, code in (
        ({"../a": b"1"}, "bundle.path"),
        ({str(number): b"" for number in range(101)}, "bundle.too-many"),
        ({"a": bytes(10_000_001)}, "bundle.too-large"),
    ):
        found = read("ws/data/d.tar", packed(make_tar({"a": b"1"}), make_tar(hostile)))
        with pytest.raises(Reject) as refused:
            contents(found)
        assert refused.value.code == code


def test_params_are_a_file_a_combination_at_the_root() -> None:
    found = read("ws/params/grid.json", packed(b'{"degree": [3, 4]}'))
    assert sorted(contents(found).values()) == [b'{"degree":3}', b'{"degree":4}']
    assert all(path.count("/") == 1 for path in contents(found))


def test_of_params_no_more_is_read_than_they_may_have() -> None:
    class Endless(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 <= size < 10_000_000
            return b" " * size

    with pytest.raises(Reject, match="larger than"):
        read("ws/params/grid.json", Packed(1 << 40, Endless))
