"""Remote data: a manifest is fetched once, line by line, and trained on like data that was dropped."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ALLOWED, BOUND, User
from tests.integration.fetch.site import Handler, Site, serve

TRAIN = """#!/usr/bin/env python3
import json, pathlib, sys
[bundle] = pathlib.Path("/pfs/data").iterdir()
files = {str(path.relative_to(bundle)): path.read_text() for path in bundle.glob("**/*") if path.is_file()}
out = pathlib.Path(sys.argv[1])
(out / "model").mkdir(parents=True)
(out / "model" / "files.json").write_text(json.dumps(files, sort_keys=True))
(out / "metrics").mkdir()
(out / "metrics" / "metrics.json").write_text(json.dumps({"files": len(files), "bundle": bundle.name}))
"""


@pytest.fixture
def site() -> Iterator[Site]:
    """A web site that manifests of the stack under test may name."""
    site = Site(address=ALLOWED)
    server = serve(site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield site
    site.closing.set()
    server.shutdown()
    server.server_close()
    thread.join(10)


def manifest(user: User, site: Site, *names: str, name: str = "data") -> str:
    """A manifest of these files of the site, which has them; its path."""
    for each in names:
        site.files.setdefault(f"/{each}", each.encode())
    path = user.home / f"{name}.mf"
    path.write_text("".join(json.dumps({"url": f"{site.url}/{each}", "path": f"test/{each}"}) + "\n" for each in names))
    return str(path)


def test_remote_data_is_trained_on_and_stays_the_newest(user: User, site: Site, tmp_path: Path) -> None:
    run = user.deploy("-s", user.source(TRAIN), "-m", manifest(user, site, "a.csv", "b.csv"))
    assert run["state"] == "succeeded", run["error"]
    assert run["trials"][0]["metrics"] == {"files": 2, "bundle": "data"}
    assert run["inputs"]["data"].startswith("data:")
    assert run["fetch"]["state"] == "succeeded"
    assert run["trials"][0]["model"].partition("_")[2].startswith(run["inputs"]["data"].partition(":")[2])
    assert "fetched 1 of 1 files" in user.kaos("train", "logs", "--stage", "fetch")
    sticky = user.deploy("-s", user.source(TRAIN + "\n# changed\n"))
    assert sticky["inputs"]["data"] == run["inputs"]["data"]
    user.kaos("train", "get", "-d", "-o", str(tmp_path))
    assert sorted(path.read_text() for path in tmp_path.glob("**/*.csv")) == ["a.csv", "b.csv"]


def test_a_line_that_is_added_is_downloaded_alone(user: User, site: Site) -> None:
    names = [f"{number}.csv" for number in range(20)]
    first = user.deploy("-s", user.source(TRAIN), "-m", manifest(user, site, *names))
    second = user.deploy("-m", manifest(user, site, *names, "added.csv"))
    assert [run["trials"][0]["metrics"]["files"] for run in (first, second)] == [20, 21]
    assert set(site.asked.values()) == {1}
    other = user.deploy("-m", manifest(user, site, "other.csv", name="other"))
    again = user.deploy("-m", manifest(user, site, *names))
    assert (other["state"], again["state"]) == ("succeeded", "succeeded")
    assert set(site.asked.values()) == {1}


def test_a_manifest_dropped_into_the_bucket_is_a_run(user: User, site: Site, s3: Any) -> None:
    user.deploy("-s", user.source(TRAIN), "-d", user.data())
    content = Path(manifest(user, site, "a.csv")).read_bytes()
    s3.put_object(Bucket="kaos-inbox", Key=f"{user.workspace}/manifest/dropped.mf", Body=content)
    deadline = time.monotonic() + BOUND
    while (run := user.newest())["expected"] != ["manifest"]:
        assert time.monotonic() < deadline
    assert user.ended(run["id"])["trials"][0]["metrics"] == {"files": 1, "bundle": "dropped"}


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ({"url": "http://169.254.169.254/latest/meta-data", "path": "a"}, "manifest.address", "Line 1 of the manifest"),
        ({"url": "s3://kaos-inbox/a", "path": "a"}, "manifest.bucket", "Line 1 of the manifest"),
    ],
)
def test_what_may_not_be_asked_for_is_rejected(user: User, line: dict[str, str], code: str, told: str) -> None:
    path = user.home / "data.mf"
    path.write_text(json.dumps(line))
    run = user.deploy("-m", str(path))
    assert (run["state"], run["error"]["code"]) == ("rejected", code)
    assert told in run["error"]["message"]


def test_a_file_that_is_not_there_fails_the_run_with_its_address(user: User, site: Site) -> None:
    path = manifest(user, site, "a.csv")
    site.files.clear()
    run = user.deploy("-s", user.source(TRAIN), "-m", path)
    assert (run["state"], run["error"]["code"]) == ("failed", "fetch.refused")
    assert f"{site.url}/a.csv (for test/a.csv)" in run["error"]["message"]
    assert "404" in run["error"]["message"]
    assert "kaos train logs --stage fetch" in user.call("train", "logs").stderr


def test_a_kill_ends_the_downloads(user: User, site: Site) -> None:
    asked, left = threading.Event(), threading.Event()

    def endless(handler: Handler) -> None:
        asked.set()
        handler.head(200, {"Content-Length": str(1 << 36)})
        try:
            while not site.closing.wait(0.01):
                handler.wfile.write(bytes(1000))
        finally:
            left.set()

    site.acts["/a.csv"] = endless
    user.kaos("train", "deploy", "-m", manifest(user, site, "a.csv"))
    assert asked.wait(BOUND)
    user.kaos("train", "kill", "-r", user.newest()["id"])
    assert user.ended()["state"] == "killed"
    assert left.wait(BOUND)


def test_a_link_that_the_stack_s_own_store_has_signed_is_fetched(user: User, s3: Any) -> None:
    place = {"Bucket": "kaos-datasets", "Key": f"{user.workspace}/number.txt"}
    s3.put_object(**place, Body=b"77")
    url = s3.generate_presigned_url("get_object", place)
    manifest = user.home / "signed.mf"
    manifest.write_text(json.dumps({"url": url, "path": "number.txt"}) + "\n")

    run = user.deploy("-s", user.source(), "-m", str(manifest))

    assert run["state"] == "succeeded", run["error"]
    assert run["trials"][0]["metrics"]["number"] == 77
