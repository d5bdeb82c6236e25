"""A manifest is read line by line, strictly; what is wrong is told with its line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import manifests
from shared.errors import Reject
from shared.manifests import Line, digest_of, fetch_pipeline, parse_line, read, tree_of

GOOD = '{"url": "https://example.com/a.csv", "path": "test/a.csv"}'


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "data.mf"


def lines_of(path: Path, content: str | bytes) -> list[tuple[int, Line]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read(path))


def test_the_users_own_example(write: Path) -> None:
    url = "https://kaos-feature-store.s3.eu-central-1.amazonaws.com"
    content = "\n".join(
        json.dumps({"url": f"{url}/{place}/mnist-split/x{name}.csv", "path": f"{place}/x{name}.csv"})
        for place, name in (("test", "aaa"), ("training", "aaaa"), ("validation", "aab"))
    )
    assert [line.path for _, line in lines_of(write, content)] == [
        "test/xaaa.csv",
        "training/xaaaa.csv",
        "validation/xaab.csv",
    ]


def test_what_editors_do_is_borne(write: Path) -> None:
    content = b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n   \r\n" + GOOD.replace("/a", "/b").encode()
    assert [(number, line.path) for number, line in lines_of(write, content)] == [(1, "test/a.csv"), (4, "test/b.csv")]


def test_all_keys(write: Path) -> None:
    text = '{"size": 12, "path": "./a//b", "sha256": "%s", "url": "s3://bucket/key"}' % ("AB" * 32)
    [(_, line)] = lines_of(write, text)
    assert line == Line("s3://bucket/key", "a/b", "ab" * 32, 12)
    assert parse_line(line.canonical()) == line


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("url,path", "malformed", "not valid JSON"),
        ('{"url": "https://e.com/a", "path": "a"', "malformed", "not valid JSON"),
        ("[" * 20_000, "malformed", "not valid JSON"),
        ("[]", "malformed", "not a JSON object"),
        ('"a"', "malformed", "not a JSON object"),
        ("null", "malformed", "not a JSON object"),
        ('[{"url": "https://e.com/a", "path": "a"}]', "malformed", "not a JSON object"),
        ('{"url": "https://e.com/a", "path": "a", "path": "b"}', "malformed", "twice"),
        ('{"url": 1, "path": "a"}', "malformed", "something else than text"),
        ('{"url": "https://e.com/a", "path": ["a"]}', "malformed", "something else than text"),
        ('{"url": "https://e.com/a", "path": "a", "size": true}', "malformed", "size"),
        ('{"url": "https://e.com/a", "path": "a", "size": -1}', "malformed", "size"),
        ('{"url": "https://e.com/a", "path": "a", "size": 1.0}', "malformed", "size"),
        ('{"url": "https://e.com/a", "path": "a", "size": NaN}', "malformed", "size"),
        ('{"url": "https://e.com/a", "path": "a", "size": null}', "malformed", "size"),
        ('{"url": "https://e.com/a", "path": "a", "size": 1%s}' % ("0" * 5000), "malformed", ""),
        ('{"url": "https://e.com/a", "path": "a", "sha256": ""}', "malformed", "64 hexadecimal"),
        ('{"url": "https://e.com/a", "path": "a", "sha256": "xyz"}', "malformed", "64 hexadecimal"),
        ('{"url": "https://e.com/a", "path": "a", "x": "%s"}' % ("a" * 40_000), "malformed", "more than 32,768 bytes"),
        ('{"url": "https://e.com/a"}', "key-missing", "lacks 'path'"),
        ('{"path": "a"}', "key-missing", "lacks 'url'"),
        ("{}", "key-missing", "lacks 'url'"),
        ('{"url": "https://e.com/a", "path": "a", "sha-256": "x"}', "key-unknown", "'sha-256'"),
        ('{"url": "file:///etc/passwd", "path": "a"}', "url", "not an http, https or s3 address"),
        ('{"url": "https://u:secret@e.com/a", "path": "a"}', "url", "user name or password"),
        ('{"url": "http://2130706433/a", "path": "a"}', "url", "hides an IPv4 address"),
        ('{"url": "https://e.com/a", "path": "../a"}', "path", "leads out"),
        ('{"url": "https://e.com/a", "path": "/etc/passwd"}', "path", "not a relative path"),
        ('{"url": "https://e.com/a", "path": ""}', "path", "names no file"),
        ('{"url": "https://e.com/a", "path": "."}', "path", "names no file"),
        ('{"url": "https://e.com/a", "path": "a/"}', "path", "names no file"),
        ('{"url": "https://e.com/a", "path": "a/."}', "path", "names no file"),
        ('{"url": "https://e.com/a", "path": "a*"}', "path", "Pachyderm refuses"),
        ('{"url": "https://e.com/a", "path": "\\ud800"}', "path", "Pachyderm refuses"),
        ('{"url": "https://e.com/a", "path": "test/a.csv"}', "path", "twice"),
        ('{"url": "https://e.com/a", "path": "test"}', "path", "both a file and a directory"),
        ('{"url": "https://e.com/a", "path": "test/A.csv"}', "path", "case only"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write: Path, text: str, code: str, told: str) -> None:
    with pytest.raises(Reject) as failure:
        lines_of(write, f"{GOOD}\n\n{text}\n")
    assert failure.value.code == f"manifest.{code}"
    assert failure.value.message.startswith("Line 3 of the manifest ")
    assert told in failure.value.message
    assert "secret" not in failure.value.message
    assert len(failure.value.message) < 600


def test_other_encodings_are_told(write: Path) -> None:
    for content in (GOOD.encode("utf-16"), b"\xff\xfe\x00", GOOD.replace("a.csv", "ü").encode("latin-1")):
        with pytest.raises(Reject, match="Line 1 of the manifest is not UTF-8"):
            lines_of(write, content)


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_manifest_is_told(write: Path, content: str) -> None:
    with pytest.raises(Reject) as failure:
        lines_of(write, content)
    assert failure.value.code == "manifest.empty"


def test_too_many_lines_are_told(write: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "LINES_MAX", 3)
    content = [GOOD.replace("a.csv", f"{number}.csv") for number in range(4)]
    assert len(lines_of(write, "\n".join(content[:3]))) == 3
    with pytest.raises(Reject) as failure:
        lines_of(write, "\n".join(content))
    assert failure.value.code == "manifest.too-many"


def test_a_line_without_end_is_not_read_into_memory(write: Path) -> None:
    with pytest.raises(Reject, match="Line 1 of the manifest has more than"):
        lines_of(write, b"x" * (1 << 20))


def test_the_hash_tells_content_and_not_order_or_spelling(write: Path) -> None:
    def tree(*texts: str) -> str:
        return tree_of(digest_of(line.canonical()) for _, line in lines_of(write, "\n".join(texts)))

    other = '{"url": "https://example.com/b.csv", "path": "b.csv"}'
    respelled = '{"path":"./test/a.csv","url":"https:\\/\\/example.com\\/a.csv"}'
    assert tree(GOOD, other) == tree(other, "", respelled)
    assert tree(GOOD, other) != tree(GOOD)
    assert tree(GOOD) != tree(GOOD.replace("}", ', "size": 1}'))


@pytest.mark.parametrize("name", ["data", "data.v2", "a" * 100, "Übung"])
def test_a_manifests_pipeline_is_named_as_pachyderm_allows(name: str) -> None:
    assert len(fetch_pipeline(name)) <= 51
    assert fetch_pipeline(name).replace("-", "").replace("_", "").isalnum()
    assert fetch_pipeline(name).isascii()


def test_manifests_of_other_names_have_other_pipelines() -> None:
    names = ["data", "data.v2", "data-v2", "data_v2", "a" * 99, "a" * 100]
    assert len({fetch_pipeline(name) for name in names}) == len(names)


@given(st.binary(max_size=80))
def test_reading_never_fails_otherwise(text: bytes) -> None:
    try:
        line = parse_line(text)
    except Reject:
        return
    assert parse_line(line.canonical()) == line
