"""Files come whole, however often it takes; connections are kept; progress is told."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from functions.fetch.fetcher.crew import fetch
from tests.integration.fetch.conftest import Fetcher
from tests.integration.fetch.site import Handler, Site

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def line(site: Site, name: str = "a.csv", **more: Any) -> dict[str, Any]:
    return {"url": f"{site.url}/{name}", "path": f"train/{name}", **more}


def peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def cuts_off(content: bytes, **headers: str) -> Any:
    """Sends half of what is asked for, and hangs up; the last 1,000 bytes it gives."""

    def act(handler: Handler) -> None:
        start = handler.start()
        rest = content[start:]
        told = {"Content-Length": str(len(rest)), **headers}
        if start:
            told["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206 if start else 200, told)
        handler.wfile.write(rest if len(rest) <= 1000 else rest[: len(rest) // 2])
        handler.hang_up()

    return act


def test_files_come_under_their_paths(fetcher: Fetcher, site: Site) -> None:
    site.files = {"/a.csv": b"1,2", "/empty": b"", "/b?c": b""}
    fetcher.fetch(line(site), {"url": f"{site.url}/empty?token=x#top", "path": "./deep//er/empty"})
    assert fetcher.files() == {"train/a.csv": b"1,2", "deep/er/empty": b""}
    assert fetcher.log[-1].startswith("fetched 2 of 2 files, 3 B in ")


def test_a_directory_of_shards_is_fetched(fetcher: Fetcher, site: Site, tmp_path: Path) -> None:
    site.files = {"/a.csv": b"a", "/b.csv": b"b"}
    shards = tmp_path / "shards"
    shards.mkdir()
    for name in ("a.csv", "b.csv"):
        (shards / f"{name}.mf").write_text(json.dumps(line(site, name)))
    fetch(shards, fetcher.out, fetcher.settings, fetcher.log.append)
    assert fetcher.files() == {"train/a.csv": b"a", "train/b.csv": b"b"}


def test_connections_are_kept_and_counted(fetcher: Fetcher, site: Site) -> None:
    names = [f"{number}.csv" for number in range(100)]
    site.files = {f"/{name}": name.encode() for name in names}
    fetcher.fetch(*(line(site, name) for name in names))
    assert len(fetcher.files()) == 100
    assert site.connections <= fetcher.settings.connections


def test_small_files_wait_for_no_delayed_acknowledgement(fetcher: Fetcher, site: Site) -> None:
    """Over one connection to a server that sends head and body apart: 40 ms each, if nobody acknowledged the head."""
    names = [f"{number}.csv" for number in range(300)]
    site.files = {f"/{name}": name.encode() for name in names}
    started = time.monotonic()
    fetcher.fetch(*(line(site, name) for name in names), connections=1)
    assert time.monotonic() - started < 8  # 0.4 s on a machine of its own; 14 s with the delay


def test_a_download_goes_on_where_it_broke_off(fetcher: Fetcher, site: Site) -> None:
    site.acts["/a.csv"] = cuts_off(CONTENT, ETag='"v1"')
    fetcher.fetch(line(site, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT)))
    assert fetcher.files() == {"train/a.csv": CONTENT}
    ranges = site.ranges()
    assert len(ranges) > 8  # more than the attempts that may fail without coming further
    assert ranges[0] == f"bytes={len(CONTENT) // 2}-"
    assert all(headers["If-Range"] == '"v1"' for headers in site.headers[1:])
    assert "retries, the last because the answer ended" in fetcher.log[-1]


def test_a_file_that_has_changed_meanwhile_is_begun_anew(fetcher: Fetcher, site: Site) -> None:
    def whole(handler: Handler) -> None:
        handler.head(200, {"Content-Length": "11", "ETag": '"v1"'})
        handler.wfile.write(b"the new one")

    def first(handler: Handler) -> None:
        site.acts["/a.csv"] = whole
        cuts_off(CONTENT, ETag='"v0"')(handler)

    site.acts["/a.csv"] = first
    fetcher.fetch(line(site))
    assert fetcher.files() == {"train/a.csv": b"the new one"}
    assert site.ranges() == [f"bytes={len(CONTENT) // 2}-"]


def test_without_a_validator_nothing_is_stitched_together(fetcher: Fetcher, site: Site) -> None:
    def act(handler: Handler) -> None:
        site.acts["/a.csv"] = lambda handler: handler.give(b"whole")
        cuts_off(CONTENT)(handler)

    site.acts["/a.csv"] = act
    fetcher.fetch(line(site))
    assert fetcher.files() == {"train/a.csv": b"whole"}
    assert site.ranges() == []


@pytest.mark.parametrize("told", ["bytes 3-10/11", "bytes */11", "", "bytes x-y/z"])
def test_another_range_than_asked_for_is_not_taken(fetcher: Fetcher, site: Site, told: str) -> None:
    def wrong(handler: Handler) -> None:
        site.acts["/a.csv"] = lambda handler: handler.give(b"whole")
        handler.head(206, {"Content-Length": "8", "Content-Range": told})
        handler.wfile.write(b"12345678")

    def first(handler: Handler) -> None:
        site.acts["/a.csv"] = wrong
        cuts_off(CONTENT, ETag='"v1"')(handler)

    site.acts["/a.csv"] = first
    fetcher.fetch(line(site))
    assert fetcher.files() == {"train/a.csv": b"whole"}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(fetcher: Fetcher, site: Site, status: int) -> None:
    def act(handler: Handler) -> None:
        if site.asked["/a.csv"] == 3:
            site.acts.clear()
            site.files["/a.csv"] = b"1"
        handler.head(status, {"Content-Length": "0", "Retry-After": "0"})

    site.acts["/a.csv"] = act
    fetcher.fetch(line(site))
    assert fetcher.files() == {"train/a.csv": b"1"}
    assert site.asked["/a.csv"] == 4


def test_what_is_sent_encoded_is_kept_so(fetcher: Fetcher, site: Site) -> None:
    """Never decompressed, so there is no bomb; asked for as it is."""
    bomb = gzip.compress(bytes(1 << 24))

    def act(handler: Handler) -> None:
        handler.head(200, {"Content-Length": str(len(bomb)), "Content-Encoding": "gzip"})
        handler.wfile.write(bomb)

    site.acts["/a.csv"] = act
    fetcher.fetch(line(site), max_file_bytes=1 << 20)
    assert fetcher.files() == {"train/a.csv": bomb}
    assert site.headers[0]["Accept-Encoding"] == "identity"


def test_chunks_and_bodies_until_the_end_of_the_connection(fetcher: Fetcher, site: Site) -> None:
    def chunked(handler: Handler) -> None:
        handler.head(200, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    def until_the_end(handler: Handler) -> None:
        handler.head(200, {"Connection": "close"})
        handler.wfile.write(b"abcde")
        handler.hang_up()

    site.acts = {"/a.csv": chunked, "/b.csv": until_the_end}
    fetcher.fetch(line(site), line(site, "b.csv"))
    assert fetcher.files() == {"train/a.csv": b"abcde", "train/b.csv": b"abcde"}


def test_progress_is_told_while_it_goes_on(fetcher: Fetcher, site: Site) -> None:
    def slow(handler: Handler) -> None:
        handler.head(200, {"Content-Length": "2000"})
        handler.wfile.write(bytes(1000))
        site.closing.wait(1.6)
        handler.wfile.write(bytes(1000))

    site.acts["/a.csv"], site.files["/b.csv"] = slow, b""
    fetcher.fetch(line(site), line(site, "b.csv"))
    assert fetcher.log[0] == "fetched 1 of 2 files, 1.0 kB"
    assert len(fetcher.log) == 2


class TestProgram:
    """The program of the job, as Pachyderm starts it."""

    def start(self, folder: Path, site: Site, *lines: dict[str, Any], **env: str) -> "subprocess.Popen[str]":
        shard = folder / "shard.mf"
        shard.write_text("".join(json.dumps(line) + "\n" for line in lines))
        command = [sys.executable, "-m", "functions.fetch.fetcher", str(shard), str(folder / "out")]
        environment = {**os.environ, "KAOS_FETCH_ALLOW": site.host, **env}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    def test_it_tells_and_succeeds(self, tmp_path: Path, site: Site) -> None:
        site.files = {"/a.csv": b"1"}
        with self.start(tmp_path, site, line(site)) as process:
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out.startswith("fetched 1 of 1 files, 1 B in ")
        assert (tmp_path / "out/train/a.csv").read_bytes() == b"1"

    def test_its_last_line_says_why_it_failed_and_no_secret(self, tmp_path: Path, site: Site) -> None:
        secret = {"url": f"{site.url}/a.csv?X-Amz-Signature=c0ffee", "path": "a.csv"}
        with self.start(tmp_path, site, secret) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        told = json.loads(err.splitlines()[-1].removeprefix("kaos-error: "))
        assert told["code"] == "fetch.refused"
        assert "/a.csv?… (for a.csv)" in told["message"]
        assert "404" in told["message"]
        assert "c0ffee" not in out + err

    @pytest.mark.parametrize(
        ("name", "value"),
        [("KAOS_FETCH_CONNECTIONS", "many"), ("KAOS_FETCH_ALLOW", "intranet"), ("KAOS_FETCH_MAX_FILE_BYTES", "0")],
    )
    def test_settings_that_make_no_sense_are_named(self, tmp_path: Path, site: Site, name: str, value: str) -> None:
        with self.start(tmp_path, site, line(site), **{name: value}) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        told = json.loads(err.splitlines()[-1].removeprefix("kaos-error: "))
        assert told["code"] == "fetch.settings"
        assert name in told["message"]

    def test_memory_does_not_grow_with_a_file(self, tmp_path: Path, site: Site) -> None:
        block, started, peaks = os.urandom(1 << 20), threading.Event(), []

        def act(handler: Handler) -> None:
            handler.head(200, {"Content-Length": str(256 << 20)})
            for _ in range(255):
                handler.wfile.write(block)
            assert started.wait(10)
            peaks.append(peak_kib(process.pid))
            handler.wfile.write(block)

        site.acts["/a.csv"] = act
        with self.start(tmp_path, site, line(site)) as process:
            started.set()
            process.communicate(timeout=60)
        assert process.returncode == 0
        assert (tmp_path / "out/train/a.csv").stat().st_size == 256 << 20
        assert peaks[0] < 64 * 1024  # 24 MiB, and as much for 1 GiB

    def test_told_to_stop_it_leaves_no_drafts(self, tmp_path: Path, site: Site) -> None:
        def endless(handler: Handler) -> None:
            handler.head(200, {"Content-Length": str(1 << 40)})
            while not site.closing.wait(0.01):
                handler.wfile.write(bytes(1 << 16))

        site.acts["/a.csv"] = endless
        with self.start(tmp_path, site, line(site), KAOS_FETCH_MAX_FILE_BYTES=str(1 << 41)) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("fetched 0 of 1 files")
            process.terminate()
            process.communicate(timeout=20)
        assert process.returncode == 143
        assert list((tmp_path / "out").iterdir()) == []
