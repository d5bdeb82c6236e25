"""Addresses have one reading only: what programs could read differently is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.urls import S3Url, Url, parse, redacted


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://example.com", Url("https", "example.com", 443, "/")),
        ("HTTPS://Example.COM:8443/a%20b?c=d&e#f", Url("https", "example.com", 8443, "/a%20b?c=d&e")),
        ("http://example.com?x", Url("http", "example.com", 80, "/?x")),
        ("http://8.8.8.8:8080/a", Url("http", "8.8.8.8", 8080, "/a")),
        ("http://[2606:4700::0:1]/a", Url("http", "2606:4700::1", 80, "/a")),
        ("http://my_host.example.com/@b:c", Url("http", "my_host.example.com", 80, "/@b:c")),
        ("s3://my.bucket-1/deep/a b?c#d.csv", S3Url("my.bucket-1", "deep/a b?c#d.csv")),
    ],
)
def test_addresses_are_read(text: str, read: Url | S3Url) -> None:
    assert parse(text) == read
    assert parse(str(read)) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/a",
        "//example.com/a",
        "file:///etc/passwd",
        "ftp://example.com/a",
        "gopher://example.com",
        "javascript:alert(1)",
        "data:text/plain,a",
        "http:/example.com",
        "http://",
        "http:///a",
        "http://?a",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1\\.example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:80:80/",
        "http://example.com:٨٠/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/a\r\nHost: x",
        "http://example.com/\x00",
        "http://example.com/ü",
        "http://.example.com/",
        "http://example..com/",
        "http://example.com./",
        "http://-a.com/",
        "http://%31%32%37.0.0.1/",
        "http://*.example.com/",
        "http://" + "a" * 64 + ".com/",
        "http://example.com/" + "a" * 4096,
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3://Bucket/a",
        "s3://b/a",
        "s3://bucket/a\n",
        "s3://bucket/\ud800",
        "s3://bucket/" + "a" * 1025,
        "s3://user@bucket/a",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|hides|carries|names) "):
        parse(text)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "0",
        "1.2.3.4.5",
        "256.1.1.1",
        "127.0.0.1.",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "[::1",
        "[::1%25lo]",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        "[::ffff:127.1]",
        "::1",
    ],
)
def test_disguised_addresses_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|hides) "):
        parse(f"http://{host}/")


def test_an_address_in_the_place_of_a_host_is_known_as_one() -> None:
    assert str(Url("http", "10.0.0.1", 80, "/").literal) == "10.0.0.1"
    assert str(Url("http", "::1", 80, "/").literal) == "::1"
    assert Url("http", "10.example", 80, "/").literal is None


@given(st.text(max_size=60))
def test_reading_never_fails_otherwise(text: str) -> None:
    for prefix in ("", "http://", "https://example.com", "s3://"):
        try:
            read = parse(prefix + text)
        except ValueError:
            continue
        assert parse(str(read)) == read


def test_what_is_shown_holds_no_secret() -> None:
    assert redacted("https://user:secret@example.com/a?X-Amz-Signature=secret#secret") == "https://example.com/a?…"
    assert redacted("https://example.com/a\x1b[2J") == "https://example.com/a�[2J"
    assert len(redacted("https://example.com/" + "a" * 1000)) <= 301
