"""What a manifest may ask for, and how it is divided so that what was fetched is not fetched again."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.ingest import manifest, shards
from functions.ingest.manifest import Rules, rules_of
from functions.ingest.packed import Packed
from shared.addresses import allowed
from shared.errors import Reject
from shared.settings import Settings

RULES = Rules(allowed("127.0.0.1:9000, 10.1.0.0/16"), frozenset({"features"}), 1000)


def line(number: int, **more: object) -> str:
    return json.dumps({"url": f"https://example.com/{number}.csv", "path": f"{number}.csv", **more})


@dataclass(frozen=True)
class Divided:
    """A manifest as a commit holds it."""

    id: str
    paths: set[str]


def read(lines: Iterable[str], previous: Iterable[bytes] = (), rules: Rules = RULES) -> tuple[Divided, list[bytes]]:
    """The bundle of a manifest, and the content of its shards."""
    text = "\n".join(lines).encode()
    packed = Packed(len(text), partial(BytesIO, text))
    with TemporaryDirectory() as folder:
        bundle = manifest.read("data", packed, Path(folder), rules, previous)
        shards = {path: b"".join(content) for path, content in bundle.files()}
        return Divided(bundle.id, {*shards}), [*shards.values()]


def numbers(content: bytes) -> list[int]:
    """Which lines a shard has."""
    return [int(json.loads(text)["path"].removesuffix(".csv")) for text in content.splitlines()]


class TestRules:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/a",
            "http://127.0.0.1:9001/a",
            "http://10.2.0.1/a",
            "http://169.254.169.254/latest/meta-data",
            "http://100.100.100.200/a",
            "http://[::1]/a",
            "http://[::ffff:127.0.0.1]:9000/a",
            "http://[64:ff9b::7f00:1]/a",
            "http://[2002:7f00:1::]/a",
            "https://224.0.0.1/a",
        ],
    )
    def test_addresses_inside_are_refused_with_their_line(self, url: str) -> None:
        with pytest.raises(Reject) as failure:
            read([line(1), json.dumps({"url": url, "path": "a"})])
        assert failure.value.code == "manifest.address"
        assert failure.value.message.startswith("Line 2 of the manifest ")

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:9000/a", "http://10.1.2.3/a", "https://8.8.8.8/a", "s3://features/a"]
    )
    def test_what_the_operator_allows_is_not(self, url: str) -> None:
        read([json.dumps({"url": url, "path": "a"})])

    def test_other_buckets_are_refused(self) -> None:
        with pytest.raises(Reject) as failure:
            read(['{"url": "s3://kaos-inbox/a", "path": "a"}'])
        assert failure.value.code == "manifest.bucket"

    def test_files_larger_than_may_be_stored_are_refused_beforehand(self) -> None:
        read([line(1, size=600), line(2, size=400), line(3)])
        with pytest.raises(Reject) as failure:
            read([line(1, size=600), line(2, size=401)])
        assert failure.value.code == "manifest.too-large"

    def test_they_are_the_operators(self) -> None:
        found = rules_of(Settings(fetch_allow="127.0.0.1:9000,10.1.0.0/16", fetch_buckets="features other"))
        assert (found.allow, found.buckets) == (RULES.allow, {"features", "other"})

    def test_an_allow_list_that_can_not_be_read_is_told_at_the_start(self) -> None:
        with pytest.raises(ValueError, match="'intranet' is neither host:port nor a network"):
            Settings(fetch_allow="intranet")


class TestShards:
    def test_a_few_lines_are_fetched_side_by_side(self) -> None:
        bundle, contents = read(line(number) for number in range(20))
        assert bundle.id.startswith("data:")
        assert [numbers(content) for content in contents] == [
            [0, 1, 2],
            [3, 4, 5],
            [6, 7, 8],
            [9, 10, 11],
            [12, 13, 14],
            [15, 16, 17],
            [18, 19],
        ]
        assert all(path.startswith("/") and path.count("/") == 1 for path in bundle.paths)

    def test_many_lines_make_shards_that_are_worth_a_program(self) -> None:
        _, contents = read(line(number) for number in range(10_000))
        assert {len(numbers(content)) for content in contents} == {500}

    @pytest.mark.parametrize("count", [1, 7, 8, 9, 256, 4096])
    def test_a_line_that_is_added_is_fetched_alone(self, count: int) -> None:
        before, contents = read(line(number) for number in range(count))
        after, more = read([line(count), *(line(number) for number in range(count))], contents)
        assert after.id != before.id
        assert before.paths < after.paths
        assert [numbers(content) for content in more if content not in contents] == [[count]]

    def test_a_line_that_goes_or_changes_touches_its_shard_alone(self) -> None:
        _, contents = read(line(number) for number in range(80))
        _, gone = read((line(number) for number in range(1, 80)), contents)
        _, changed = read((line(number, **({"size": 1} if number == 0 else {})) for number in range(80)), contents)
        for found, lines in ((gone, range(1, 10)), (changed, range(10))):
            new = [content for content in found if content not in contents]
            assert sorted(number for content in new for number in numbers(content)) == [*lines]

    def test_order_and_spelling_change_nothing(self) -> None:
        before, contents = read(line(number) for number in range(20))
        after, again = read((line(number).replace(" ", "") for number in reversed(range(20))), contents)
        assert (after.id, sorted(again)) == (before.id, sorted(contents))

    def test_too_many_crumbs_are_divided_afresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shards, "_FRAGMENTS_MAX", 10)
        contents: list[bytes] = []
        sizes = []
        for count in range(1, 30):
            _, contents = read((line(number) for number in range(count)), contents)
            sizes.append(len(contents))
        assert max(sizes) <= 11
        assert sizes[10:13] == [11, 6, 7]

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.sets(st.integers(0, 60), min_size=1), min_size=1, max_size=6))
    def test_every_version_has_each_line_once_and_keeps_what_it_can(self, versions: list[set[int]]) -> None:
        previous: list[bytes] = []
        for version in versions:
            _, contents = read((line(number) for number in sorted(version)), previous)
            assert sorted(number for content in contents for number in numbers(content)) == sorted(version)
            kept = [content for content in previous if version.issuperset(numbers(content))]
            assert set(kept) <= set(contents)
            previous = contents
