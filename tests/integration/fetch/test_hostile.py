"""Servers that lie, stall, never end or lead elsewhere: an error that says so, and never a file that is not whole."""

import hashlib
import socket
import time
from typing import Any

import pytest

from shared.addresses import Allowed, allowed
from tests.integration.fetch.conftest import Fetcher, NewSite
from tests.integration.fetch.site import Handler, Site


def line(site: Site, name: str = "a.csv", **more: Any) -> dict[str, Any]:
    return {"url": f"{site.url}/{name}", "path": name, **more}


def redirects(to: str, status: int = 302) -> Any:
    def act(handler: Handler) -> None:
        handler.head(status, {"Location": to, "Content-Length": "0"})

    return act


def endless(handler: Handler) -> None:
    handler.head(200, {"Transfer-Encoding": "chunked"})
    while not handler.site.closing.is_set():
        handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


class TestCaps:
    def test_an_endless_body_is_cut(self, fetcher: Fetcher, site: Site) -> None:
        site.acts["/a.csv"] = endless
        assert fetcher.fails(line(site), max_file_bytes=1 << 20).code == "fetch.too-large"

    def test_an_announced_length_above_the_cap_is_not_even_begun(self, fetcher: Fetcher, site: Site) -> None:
        site.files["/a.csv"] = bytes(2000)
        assert fetcher.fails(line(site), max_file_bytes=1999).code == "fetch.too-large"
        fetcher.fetch(line(site), max_file_bytes=2000)

    def test_all_files_of_a_shard_have_a_cap(self, fetcher: Fetcher, site: Site) -> None:
        site.files = {f"/{number}": bytes(1000) for number in range(10)}
        lines = [line(site, str(number)) for number in range(10)]
        with pytest.raises(Exception, match="more than 9,999 bytes") as failure:
            fetcher.fetch(*lines, max_total_bytes=9_999)
        assert failure.value.code == "fetch.too-large"
        fetcher.fetch(*lines, max_total_bytes=10_000)

    def test_more_than_the_manifest_says_is_too_much(self, fetcher: Fetcher, site: Site) -> None:
        site.acts["/a.csv"] = endless
        assert fetcher.fails(line(site, size=10)).code == "fetch.size"


class TestLies:
    @pytest.mark.parametrize("told", ["8", "1000000000"])
    def test_a_body_shorter_than_announced(self, fetcher: Fetcher, site: Site, told: str) -> None:
        def act(handler: Handler) -> None:
            handler.head(200, {"Content-Length": told})
            handler.wfile.write(b"1234567")
            handler.hang_up()

        site.acts["/a.csv"] = act
        failure = fetcher.fails(line(site))
        assert failure.code == "fetch.unreachable"
        assert "bytes early" in failure.message
        assert site.asked["/a.csv"] == 6

    def test_a_body_longer_than_announced_does_not_spoil_the_next_file(self, fetcher: Fetcher, site: Site) -> None:
        def act(handler: Handler) -> None:
            handler.head(200, {"Content-Length": "3"})
            handler.wfile.write(b"abcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

        site.acts["/a.csv"] = act
        site.files["/b.csv"] = b"good"
        b = line(site, "b.csv", sha256=hashlib.sha256(b"good").hexdigest())
        fetcher.fetch(line(site), b, connections=1)
        assert fetcher.files() == {"a.csv": b"abc", "b.csv": b"good"}

    def test_a_chunk_that_is_cut_short(self, fetcher: Fetcher, site: Site) -> None:
        def act(handler: Handler) -> None:
            handler.head(200, {"Transfer-Encoding": "chunked"})
            handler.wfile.write(b"10\r\nabc")
            handler.hang_up()

        site.acts["/a.csv"] = act
        assert fetcher.fails(line(site)).code == "fetch.unreachable"

    def test_another_size_than_the_manifest_says(self, fetcher: Fetcher, site: Site) -> None:
        site.files["/a.csv"] = b"12345"
        for size in (4, 6):
            failure = fetcher.fails(line(site, size=size))
            assert failure.code == "fetch.size"
            assert "5 bytes" in failure.message

    def test_another_content_than_the_manifest_says(self, fetcher: Fetcher, site: Site) -> None:
        site.files["/a.csv"] = b"12345"
        failure = fetcher.fails(line(site, sha256="0" * 64))
        assert failure.code == "fetch.checksum"
        assert hashlib.sha256(b"12345").hexdigest() in failure.message

    @pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200])
    def test_no_http_at_all(self, fetcher: Fetcher, site: Site, answer: bytes) -> None:
        def act(handler: Handler) -> None:
            handler.wfile.write(answer)
            handler.hang_up()

        site.acts["/a.csv"] = act
        assert fetcher.fails(line(site)).code == "fetch.unreachable"


class TestStalls:
    """One attempt of a second in place of a minute each."""

    @pytest.mark.parametrize("where", ["head", "body"])
    def test_a_server_that_drips_is_left(self, fetcher: Fetcher, site: Site, where: str) -> None:
        def act(handler: Handler) -> None:
            if where == "body":
                handler.head(200, {"Content-Length": "1000000"})
            else:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not handler.site.closing.wait(0.02):
                handler.wfile.write(b"x")

        site.acts["/a.csv"] = act
        started = time.monotonic()
        failure = fetcher.fails(line(site), patience=0.2)
        assert failure.code == "fetch.unreachable"
        assert "next to nothing" in failure.message
        assert time.monotonic() - started < 20  # 6 attempts of 0.2 s, looked at every 0.25 s

    def test_a_failure_does_not_wait_for_those_that_hang(self, fetcher: Fetcher, site: Site) -> None:
        site.acts["/a.csv"] = lambda handler: handler.site.closing.wait(30) and None
        started = time.monotonic()
        assert fetcher.fails(line(site), line(site, "missing.csv")).code == "fetch.refused"
        assert time.monotonic() - started < 10


class TestAddresses:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
    def test_what_is_not_allowed_is_not_asked(self, fetcher: Fetcher, site: Site, host: str) -> None:
        failure = fetcher.fails({"url": f"http://{host}:{site.port}/a.csv", "path": "a"}, allow=Allowed())
        assert failure.code == "fetch.address"
        assert site.connections == 0

    def test_allowing_a_host_allows_no_other_port_of_it(self, fetcher: Fetcher, site: Site, new_site: NewSite) -> None:
        other = new_site()
        assert fetcher.fails(line(other)).code == "fetch.address"
        assert other.connections == 0

    def test_a_network_may_be_allowed(self, fetcher: Fetcher, site: Site) -> None:
        site.files["/a.csv"] = b"1"
        fetcher.fetch(line(site), allow=allowed("10.0.0.0/8, 127.0.0.1/32"))
        assert fetcher.files() == {"a.csv": b"1"}

    def test_a_name_is_looked_up_once(self, fetcher: Fetcher, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rebinding: the second answer would lead to a host that the check has never seen."""
        asked = []

        def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

        def act(handler: Handler) -> None:
            handler.head(200, {"Content-Length": "1", "Connection": "close"})
            handler.wfile.write(b"1")
            handler.hang_up()

        site.acts = {f"/{number}": act for number in range(20)}
        lines = [{"url": f"http://data.example:{site.port}/{number}", "path": str(number)} for number in range(20)]
        fetcher.fetch(*lines, connections=1, allow=allowed("127.0.0.1/32"))
        assert asked == ["data.example"]
        assert (len(fetcher.files()), site.connections) == (20, 20)
        assert {headers["Host"] for headers in site.headers} == {f"data.example:{site.port}"}

    def test_of_several_addresses_only_the_public_ones_are_used(
        self, fetcher: Fetcher, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("10.0.0.1", "127.0.0.1")
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        site.files["/a.csv"] = b"1"
        url = f"http://data.example:{site.port}/a.csv"
        fetcher.fetch({"url": url, "path": "a.csv"}, allow=allowed("127.0.0.1/32"))
        assert fetcher.files() == {"a.csv": b"1"}

    def test_an_unknown_host_is_named(self, fetcher: Fetcher, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        def getaddrinfo(*_: object, **__: object) -> list[Any]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        failure = fetcher.fails({"url": "http://data.example/a.csv", "path": "a.csv"})
        assert failure.code == "fetch.unreachable"
        assert "data.example is not known here" in failure.message


class TestRedirects:
    def test_three_are_followed(self, fetcher: Fetcher, site: Site, new_site: NewSite) -> None:
        other = new_site()
        site.acts = {"/a.csv": redirects("/b"), "/b": redirects("c", 308)}
        site.acts["/c"] = redirects(f"{other.url}/d?x=y", 307)
        other.files["/d"] = b"1"
        fetcher.fetch(line(site), allow=allowed(f"{site.host} {other.host}"))
        assert fetcher.files() == {"a.csv": b"1"}

    def test_four_are_too_many(self, fetcher: Fetcher, site: Site) -> None:
        site.acts["/a.csv"] = redirects("/a.csv")
        assert fetcher.fails(line(site)).code == "fetch.redirect"
        assert site.asked["/a.csv"] == 4

    def test_each_hop_is_checked(self, fetcher: Fetcher, site: Site, new_site: NewSite) -> None:
        inside = new_site()
        inside.files["/secret"] = b"secret"
        site.acts["/a.csv"] = redirects(f"{inside.url}/secret")
        assert fetcher.fails(line(site)).code == "fetch.address"
        assert inside.connections == 0

    @pytest.mark.parametrize(
        "to",
        [
            "file:///etc/passwd",
            "ftp://example.com/a",
            "http://user:secret@example.com/a",
            "http://2130706433/a",
            "http://0177.0.0.1/a",
            "//①②⑦.⓪.⓪.①/a",
            "http://",
        ],
    )
    def test_what_no_manifest_may_say_no_redirect_may(self, fetcher: Fetcher, site: Site, to: str) -> None:
        site.acts["/a.csv"] = lambda handler: handler.wfile.write(
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to.encode() + b"\r\n\r\n"
        )
        failure = fetcher.fails(line(site))
        assert failure.code == "fetch.redirect"
        assert "secret" not in failure.message

    @pytest.mark.parametrize("address", ["169.254.169.254", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "100.64.0.1"])
    def test_a_redirect_to_an_address_inside(self, fetcher: Fetcher, site: Site, address: str) -> None:
        site.acts["/a.csv"] = redirects(f"http://{address}/latest/meta-data")
        assert fetcher.fails(line(site)).code == "fetch.address"
