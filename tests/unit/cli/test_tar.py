"""A tar that is written nowhere: byte for byte what tarfile writes, from any place, or an error."""

import io
import itertools
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaos.cli import pack
from kaos.cli.tar import Member, State, Tar, info
from shared.bundles import Entry
from shared.errors import KaosError

_NAMES = st.from_regex(r"[a-z]{1,20}", fullmatch=True) | st.sampled_from(["n" * 100, "n" * 101, "n" * 200, "ä"])
_SIZES = st.sampled_from([0, 1, 511, 512, 513, 10_000, 70_000])


def look(folder: Path) -> Tar:
    return Tar(pack.look(pack.files(folder), lambda _: None))


def read(tar: Tar, start: int, length: int) -> bytes:
    return b"".join(tar.pieces(start, length))


def by_tarfile(folder: Path) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in pack.files(folder):
            content = path.read_bytes()
            tar.addfile(info(name, len(content), executable=content.startswith(b"#!")), io.BytesIO(content))
    return written.getvalue()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_NAMES, _SIZES, min_size=1, max_size=6), st.lists(st.floats(0, 1), max_size=6))
def test_it_is_what_tarfile_writes_wherever_it_is_divided(files: dict[str, int], places: list[float]) -> None:
    with TemporaryDirectory() as folder:
        for number, (name, size) in enumerate(files.items()):
            start = b"#!" if number % 2 else b""
            (Path(folder) / name).write_bytes((start + os.urandom(size))[:size])
        tar, whole = look(Path(folder)), by_tarfile(Path(folder))
        assert tar.size == len(whole)
        cuts = sorted({0, tar.size, *(int(place * tar.size) for place in places)})
        for first, last in reversed([*itertools.pairwise(cuts)]):  # in any order
            assert read(tar, first, last - first) == whole[first:last]


def test_a_size_that_takes_more_than_one_block_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(8**11)  # all of it a hole
        state = State.of(file)
    tar = Tar([Member(path, state, Entry("huge", False, "", state.size))])
    header = info("huge", state.size, executable=False).tobuf(tarfile.PAX_FORMAT)
    assert len(header) > tarfile.BLOCKSIZE
    assert read(tar, 0, len(header) + 1) == header + b"\0"
    assert tar.size == -(-(len(header) + state.size + 1024) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _replace(path: Path) -> None:
    state = path.stat()
    other = path.with_name("other")
    other.write_bytes(os.urandom(state.st_size))
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize(
    "change",
    [
        _grow,
        _replace,
        lambda path: path.write_bytes(b"less"),
        lambda path: path.write_bytes(os.urandom(100_000)),
        lambda path: path.unlink(),
    ],
    ids=["grows", "is replaced", "shrinks", "is rewritten", "goes"],
)
def test_a_file_that_changes_ends_the_reading(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(100_000))
    os.utime(path, (0, 0))
    tar = look(tmp_path)
    change(path)
    for start, length in ((0, tar.size), (50_000, 10)):
        with pytest.raises(KaosError) as changed:
            read(tar, start, length)
        assert changed.value.code == "bundle.changed"
        assert str(path) in changed.value.message


def test_a_file_that_changes_while_it_is_read_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 << 20))
    os.utime(path, (0, 0))
    tar = look(tmp_path)
    pieces = tar.pieces(0, tar.size)
    next(pieces)
    with path.open("r+b") as file:
        file.write(b"other")
    with pytest.raises(KaosError, match="has changed"):
        list(pieces)
