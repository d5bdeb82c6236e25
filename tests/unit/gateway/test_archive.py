"""A tar is renamed as it flows, whole or visibly broken, and never gathered."""

import io
import tarfile
import tracemalloc
from collections.abc import Iterator

import pytest

from functions.gateway.archive import BrokenArchive, renamed
from functions.gateway.blocks import BLOCK_BYTES, gathered, stepped
from functions.gateway.files import _renamed

LONG = "x" * 90


def made(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o4711
            info.uid, info.uname = 1000, "someone"
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("/top/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


def read(archive: bytes) -> dict[str, bytes | None]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: (file.read() if (file := tar.extractfile(entry)) else None) for entry in tar.getmembers()}


def test_names_are_rewritten_and_contents_kept() -> None:
    deep = f"/mnist:e23a2f1/{LONG}/{LONG}/é.bin"
    source = made(("/", b""), ("/mnist:e23a2f1/", b""), (deep, b"z" * 1000), ("/mnist:e23a2f1/empty", b""))
    archive = b"".join(renamed(io.BytesIO(source), lambda name: _renamed(name, None)))
    assert read(archive) == {"mnist": None, f"mnist/{LONG}/{LONG}/é.bin": b"z" * 1000, "mnist/empty": b""}


def test_models_are_named_by_their_id_and_the_rest_left_out() -> None:
    source = made(("/cebf65/model/net", b"w"), ("/ffffff/model/net", b"other"), ("/cebf65/../up", b"!"))
    archive = b"".join(renamed(io.BytesIO(source), lambda name: _renamed(name, {"cebf65": "e23a2f1_9fd9d03:cebf65"})))
    assert read(archive) == {"e23a2f1_9fd9d03:cebf65/model/net": b"w"}


def test_nothing_of_its_owner_is_passed_on() -> None:
    archive = b"".join(renamed(io.BytesIO(made(("a", b"1"))), str))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        [entry] = tar.getmembers()
    assert (entry.mode, entry.uid, entry.uname) == (0o755, 0, "")


@pytest.mark.parametrize("kept", [100, 600, 1000, 512 + 5000])
def test_a_source_that_ends_early_is_not_made_whole(kept: int) -> None:
    source = made(("a", b"1" * 10_000))
    with pytest.raises(BrokenArchive):  # the loop is what raises
        b"".join(renamed(io.BytesIO(source[:kept]), str))


class _Endless:
    """Many entries, made while they are read."""

    def __init__(self, entries: int) -> None:
        self._blocks = self._made(entries)

    def _made(self, entries: int) -> Iterator[bytes]:
        header = tarfile.TarInfo("d/file")
        header.size = 512
        for _ in range(entries):
            yield header.tobuf() + bytes(512)
        yield bytes(1024)

    def read(self, _: int = -1) -> bytes:
        return next(self._blocks, b"")


def test_memory_does_not_grow_with_the_archive() -> None:
    peaks = []
    for entries in (300, 1_500):
        tracemalloc.start()
        for _ in gathered(renamed(_Endless(entries), str)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2 * BLOCK_BYTES


async def test_blocks_arrive_in_order_and_errors_too() -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(10):
            yield bytes([number]) * (BLOCK_BYTES // 4)
        raise BrokenArchive("midway")

    seen = b""
    with pytest.raises(BrokenArchive):  # noqa: PT012  # the loop is what raises
        async for block in stepped(pieces()):
            seen += block
    assert len(seen) == 2 * BLOCK_BYTES
    assert sorted(seen) == list(seen)
