"""Bundles are read whatever their format, and refused with a code where they are hostile or broken."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial

import pytest
import zstandard

from functions.ingest.archive import Limits, files_of
from functions.ingest.packed import Packed
from shared.bundles import Entry, bundle_id, tree_hash
from shared.errors import Reject
from tests.archives import FORMATS, make_tar, make_zip, special

LIMITS = Limits(max_bytes=10_000_000, max_entries=100)
FILES = {"Dockerfile": b"FROM python:3.11\n", "model/train": b"#!/usr/bin/env python\n", "model/empty": b""}


def read(archive: bytes, limits: Limits = LIMITS) -> tuple[list[Entry], dict[str, bytes]]:
    """What is known of the files when all have been read, and their contents."""
    seen: list[Entry] = []
    packed = Packed(len(archive), partial(io.BytesIO, archive))
    return seen, {path: b"".join(content) for path, content in files_of(packed, limits, seen)}


def refused(archive: bytes, code: str, **limits: int) -> None:
    with pytest.raises(Reject) as reason:
        read(archive, Limits(**{"max_bytes": 10_000_000, "max_entries": 100, **limits}))
    assert reason.value.code == code


@pytest.mark.parametrize("pack", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_files_and_hash(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    seen, contents = read(pack(FILES))
    assert contents == FILES
    assert [(entry.path, entry.size) for entry in seen] == [(path, len(FILES[path])) for path in contents]
    assert bundle_id("mnist", tree_hash(seen)) == "mnist:f9709c7"


@pytest.mark.parametrize("pack", [make_tar, make_zip])
def test_a_program_is_known_by_its_start_and_not_by_its_mode(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    entries, _ = read(pack({"train.csv": b"1,2", "run": b"#!/bin/sh\n", "tool": b"\x7fELF..."}))
    assert [entry.path for entry in entries if entry.executable] == ["run", "tool"]


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
def test_paths_that_lead_out_or_that_pachyderm_refuses(make: Callable[[dict[str, bytes]], bytes], name: str) -> None:
    refused(make({name: b"x"}), "bundle.path")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(kind: bytes) -> None:
    refused(make_tar({"a": b"x"}, special("b", kind, "a")), "bundle.member")


def test_a_symbolic_link_in_a_zip() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refused(buffer.getvalue(), "bundle.member")


@pytest.mark.parametrize(
    "twice", [("a", "a"), ("a", "./a"), ("A", "a"), ("d/a", "D/b"), ("a", "a/b"), ("a/b", "a"), ("a//b", "a/b")]
)
def test_names_that_collide(twice: tuple[str, str]) -> None:
    first, second = (make_tar({name: b"x"})[:1024] for name in twice)
    refused(first + second + bytes(1024), "bundle.path")


@pytest.mark.parametrize("pack", FORMATS.values(), ids=FORMATS)
def test_an_archive_that_was_cut_short(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    whole = pack({"a": bytes(range(256)) * 40})
    refused(whole[: len(whole) // 2], "bundle.malformed")


def test_a_tar_that_ends_between_two_files_or_whose_next_header_is_none() -> None:
    whole = make_tar({"a": b"x", "b": b"y"})
    for cut in (whole[:1024], whole[:1536], whole[:1300], whole[:1024] + b"\x01" * 512 + whole[1536:]):
        refused(cut, "bundle.malformed")


@pytest.mark.parametrize("size", ["-1", "-1024", "-99999999999999999999", "99999999999999999999"])
def test_a_size_that_can_not_be(size: str) -> None:
    header = tarfile.TarInfo("a")
    header.size, header.pax_headers = 1, {"size": size}
    refused(header.tobuf(tarfile.PAX_FORMAT) + bytes(2048), "bundle.malformed")


@pytest.mark.parametrize("content", [b"not an archive", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", bytes(600)])
def test_what_is_no_archive(content: bytes) -> None:
    refused(content, "bundle.malformed")


def test_an_empty_object_and_an_archive_of_nothing() -> None:
    refused(b"", "bundle.empty")
    refused(make_zip({}), "bundle.empty")


def test_a_wrong_checksum() -> None:
    archive = bytearray(make_zip({"a": b"x" * 50}))
    place = archive.find(b"PK\x01\x02") + 16  # the CRC in the central directory (APPNOTE 4.3.12)
    archive[place] ^= 0xFF
    refused(bytes(archive), "bundle.malformed")


def test_prepended_data_hides_nothing() -> None:
    refused(make_zip({"a": b"1"}) + make_zip({"b": b"2"}), "bundle.malformed")


def test_an_encrypted_zip() -> None:
    archive = bytearray(make_zip({"a": b"x"}))
    archive[archive.find(b"PK\x01\x02") + 8] |= 1
    refused(bytes(archive), "bundle.encrypted")


@pytest.mark.parametrize("pack", FORMATS.values(), ids=FORMATS)
def test_no_more_is_read_than_the_limit(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    archive = pack({"a": bytes(5_000_000)})
    packed = Packed(len(archive), partial(io.BytesIO, archive))
    got: list[bytes] = []
    with pytest.raises(Reject, match="more than 3000000 bytes"):
        got.extend(piece for _, content in files_of(packed, Limits(3_000_000, 100), []) for piece in content)
    assert 0 < sum(map(len, got)) <= 3_000_000


def test_too_many_entries_and_too_deep_a_path() -> None:
    refused(make_tar({f"f{n}": b"" for n in range(4)}), "bundle.too-many", max_entries=3)
    refused(make_tar({"/".join("d" * 33): b""}), "bundle.path")


def test_a_bomb_is_stopped_by_its_ratio() -> None:
    bomb = zstandard.compress(make_tar({"zeros": bytes(80 * 2**20)}))
    refused(bomb, "bundle.bomb", max_bytes=2**40)


def test_a_header_that_claims_gigabytes_is_not_believed() -> None:
    header = special("pax", tarfile.XHDTYPE)
    header.size = 2**30
    refused(header.tobuf() + bytes(1024), "bundle.member")
