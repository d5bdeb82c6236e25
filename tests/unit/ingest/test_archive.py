"""Bundles are unpacked whatever their format, and refused with a code where they are hostile or broken."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from functions.ingest.archive import Limits, unpack
from shared.bundles import Entry, bundle_id, tree_hash
from shared.errors import Reject
from tests.archives import FORMATS, make_tar, make_zip, special

LIMITS = Limits(max_bytes=10_000_000, max_entries=100)
FILES = {"Dockerfile": b"FROM python:3.11\n", "model/train": b"#!/usr/bin/env python\n", "model/empty": b""}


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[bytes], list[Entry]]:
    def work(archive: bytes, limits: Limits = LIMITS) -> list[Entry]:
        path, into = tmp_path / "bundle", tmp_path / "into"
        path.write_bytes(archive)
        into.mkdir()
        return unpack(path, into, limits)

    return work


def refused(unpacked: Callable[..., list[Entry]], archive: bytes, code: str, **limits: int) -> None:
    with pytest.raises(Reject) as reason:
        unpacked(archive, Limits(**{"max_bytes": 10_000_000, "max_entries": 100, **limits}))
    assert reason.value.code == code


@pytest.mark.parametrize("pack", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_files_and_hash(
    unpacked: Callable[[bytes], list[Entry]], tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    entries = unpacked(pack(FILES))
    written = {entry.path: (tmp_path / "into" / entry.path).read_bytes() for entry in entries}
    assert written == FILES
    assert bundle_id("mnist", tree_hash(entries)) == "mnist:f9709c7"


@pytest.mark.parametrize("pack", [make_tar, make_zip])
def test_a_program_is_known_by_its_start_and_not_by_its_mode(
    unpacked: Callable[[bytes], list[Entry]], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    entries = unpacked(pack({"train.csv": b"1,2", "run": b"#!/bin/sh\n", "tool": b"\x7fELF..."}))
    assert [entry.path for entry in entries if entry.executable] == ["run", "tool"]


def test_modes_are_ours(unpacked: Callable[[bytes], list[Entry]], tmp_path: Path) -> None:
    unpacked(make_tar(FILES))
    modes = {path: stat.S_IMODE((tmp_path / "into" / path).stat().st_mode) for path in FILES}
    assert modes == {"Dockerfile": 0o644, "model/train": 0o755, "model/empty": 0o644}


def test_the_hash_depends_on_paths_modes_and_contents_but_not_on_order() -> None:
    entries = [Entry("a", False, "0" * 64, 1), Entry("b", False, "1" * 64, 1)]
    assert tree_hash(entries) == tree_hash(reversed(entries))
    others = [
        [Entry("c", False, "0" * 64, 1), entries[1]],
        [Entry("a", True, "0" * 64, 1), entries[1]],
        [Entry("a", False, "2" * 64, 1), entries[1]],
        entries[:1],
    ]
    assert len({tree_hash(other) for other in [entries, *others]}) == 5


@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize(
    "name",
    ["../e", "a/../../e", "/etc/e", "C:\\e", "a\\b", "\\\\host\\e", "a\nb", "ä", "e\u202ee", "a*b", "x@y", "n" * 256],
)
def test_paths_that_lead_out_or_that_pachyderm_refuses(
    unpacked: Callable[..., list[Entry]], tmp_path: Path, make: Callable[[dict[str, bytes]], bytes], name: str
) -> None:
    refused(unpacked, make({name: b"x"}), "bundle.path")
    assert [path.name for path in tmp_path.iterdir() if path.name not in {"bundle", "into"}] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(unpacked: Callable[..., list[Entry]], kind: bytes) -> None:
    refused(unpacked, make_tar({"a": b"x"}, special("b", kind, "a")), "bundle.member")


def test_a_symbolic_link_in_a_zip(unpacked: Callable[..., list[Entry]]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refused(unpacked, buffer.getvalue(), "bundle.member")


@pytest.mark.parametrize(
    "twice", [("a", "a"), ("a", "./a"), ("A", "a"), ("d/a", "D/b"), ("a", "a/b"), ("a/b", "a"), ("a//b", "a/b")]
)
def test_names_that_collide(unpacked: Callable[..., list[Entry]], twice: tuple[str, str]) -> None:
    first, second = (make_tar({name: b"x"})[:1024] for name in twice)
    refused(unpacked, first + second + bytes(1024), "bundle.path")


@pytest.mark.parametrize("pack", FORMATS.values(), ids=FORMATS)
def test_an_archive_that_was_cut_short(
    unpacked: Callable[..., list[Entry]], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    whole = pack({"a": bytes(range(256)) * 40})
    refused(unpacked, whole[: len(whole) // 2], "bundle.malformed")


@pytest.mark.parametrize("content", [b"not an archive", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", bytes(600)])
def test_what_is_no_archive(unpacked: Callable[..., list[Entry]], content: bytes) -> None:
    refused(unpacked, content, "bundle.malformed")


def test_an_empty_object_and_an_archive_of_nothing(unpacked: Callable[..., list[Entry]], tmp_path: Path) -> None:
    refused(unpacked, b"", "bundle.empty")
    (tmp_path / "into").rmdir()
    refused(unpacked, make_zip({}), "bundle.empty")


def test_a_wrong_checksum(unpacked: Callable[..., list[Entry]]) -> None:
    archive = bytearray(make_zip({"a": b"x" * 50}))
    place = archive.find(b"PK\x01\x02") + 16  # the CRC in the central directory (APPNOTE 4.3.12)
    archive[place] ^= 0xFF
    refused(unpacked, bytes(archive), "bundle.malformed")


def test_prepended_data_hides_nothing(unpacked: Callable[..., list[Entry]]) -> None:
    refused(unpacked, make_zip({"a": b"1"}) + make_zip({"b": b"2"}), "bundle.malformed")


def test_an_encrypted_zip(unpacked: Callable[..., list[Entry]]) -> None:
    archive = bytearray(make_zip({"a": b"x"}))
    archive[archive.find(b"PK\x01\x02") + 8] |= 1
    refused(unpacked, bytes(archive), "bundle.encrypted")


def test_limits_hold_while_writing(unpacked: Callable[..., list[Entry]], tmp_path: Path) -> None:
    refused(unpacked, make_zip({"a": bytes(5_000_000)}), "bundle.too-large", max_bytes=4_000_000)
    assert (tmp_path / "into" / "a").stat().st_size <= 4_000_000


def test_too_many_entries_and_too_deep_a_path(unpacked: Callable[..., list[Entry]], tmp_path: Path) -> None:
    refused(unpacked, make_tar({f"f{n}": b"" for n in range(4)}), "bundle.too-many", max_entries=3)
    for path in (tmp_path / "into").iterdir():
        path.unlink()
    (tmp_path / "into").rmdir()
    refused(unpacked, make_tar({"/".join("d" * 33): b""}), "bundle.path")


def test_a_bomb_is_stopped_by_its_ratio(unpacked: Callable[..., list[Entry]]) -> None:
    bomb = zstandard.compress(make_tar({"zeros": bytes(80 * 2**20)}))
    refused(unpacked, bomb, "bundle.bomb", max_bytes=2**40)


def test_a_header_that_claims_gigabytes_is_not_believed(unpacked: Callable[..., list[Entry]]) -> None:
    header = special("pax", tarfile.XHDTYPE)
    header.size = 2**30
    refused(unpacked, header.tobuf() + bytes(1024), "bundle.member")
