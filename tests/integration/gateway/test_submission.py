"""From a submission to the event that wakes ingest, through a real object store and its notifications."""

import asyncio
import json
from typing import Any

import urllib3

from shared.bus import Bus
from shared.events import RunChanged

RUNS = "/v1/workspaces/mnist/runs"


async def created(bus: Bus, run: str) -> dict[str, Any]:
    """The event of an object that came in for `run`."""
    events = await bus.stream.subscribe("kaos.mnist.object.created", stream="kaos-events", ordered_consumer=True)
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads((await events.next_msg(timeout=10)).data)
            if f"/{run}/" in event["data"]["key"]:
                await events.unsubscribe()
                return event


async def put(url: str, body: bytes, headers: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
    return await asyncio.to_thread(lambda: urllib3.request("PUT", url, body=body, headers=headers, retries=False))


async def test_what_is_uploaded_as_told_becomes_an_event_of_its_run(api: Any, store: Any) -> None:
    parts = [{"kind": "source", "filename": "m.zip", "size": 5}, {"kind": "data", "filename": "d.tar.gz", "size": 5}]
    status, submitted = await api.ask("POST", RUNS, {"parts": parts, "options": {"parallelism": 2, "memory": "1Gi"}})
    assert status == 201
    run, uploads = submitted["run"], submitted["uploads"]
    assert (run["state"], run["expected"], run["options"]["memory"]) == ("received", ["source", "data"], "1Gi")
    assert [upload["key"] for upload in uploads] == [
        f"mnist/source/{run['id']}/m.zip",
        f"mnist/data/{run['id']}/d.tar.gz",
    ]
    assert (await put(uploads[0]["url"], b"hello", uploads[0]["headers"])).status == 200
    event = await created(api.bus, run["id"])
    assert event["data"]["key"] == uploads[0]["key"]
    assert event["data"]["metadata"]["kaos-parts"] == "source,data"


async def test_two_who_deploy_the_same_name_at_once_put_it_in_two_places(api: Any, store: Any) -> None:
    part = {"kind": "source", "filename": "m.zip", "size": 5}
    submissions = [(await api.ask("POST", RUNS, {"parts": [part]}))[1] for _ in range(2)]
    for submitted, body in zip(submissions, (b"one..", b"two.."), strict=True):
        [upload] = submitted["uploads"]
        assert (await put(upload["url"], body, upload["headers"])).status == 200
    events = [await created(api.bus, submitted["run"]["id"]) for submitted in submissions]
    bodies = [store.get_object(Bucket="kaos-inbox", Key=event["data"]["key"])["Body"].read() for event in events]
    assert bodies == [b"one..", b"two.."]


async def test_the_run_is_signed_into_the_address(api: Any) -> None:
    part = {"kind": "source", "filename": "m.zip", "size": 5}
    _, submitted = await api.ask("POST", RUNS, {"parts": [part]})
    [upload] = submitted["uploads"]
    for headers in ({}, upload["headers"] | {"x-amz-meta-kaos-run": "other"}):
        assert (await put(upload["url"], b"hello", headers)).status in {400, 403}


async def test_a_run_whose_objects_never_come_stays_visible_as_received(api: Any) -> None:
    _, submitted = await api.ask("POST", RUNS, {"parts": [{"kind": "source", "filename": "m.zip", "size": 5}]})
    run = submitted["run"]
    assert (await api.ask("GET", f"{RUNS}?state=received"))[1]["runs"] == [run]
    assert (await api.ask("GET", f"{RUNS}?state=training"))[1]["runs"] == []
    assert await api.ask("GET", f"{RUNS}/{run['id']}") == (200, run | {"trials": []})
    [told] = [event async for event in api.lines(f"{RUNS}/{run['id']}/events")]
    assert (told["type"], told["data"]["state"]) == (RunChanged.type, "received")


async def test_a_large_bundle_goes_up_in_parts(api: Any, store: Any) -> None:
    part = {"kind": "data", "filename": "big.tar", "size": 65 * 2**20}
    _, submitted = await api.ask("POST", RUNS, {"parts": [part]})
    run, [upload] = submitted["run"]["id"], submitted["uploads"]
    multipart = upload["multipart"]
    assert (upload["url"], multipart["part_size"], len(multipart["urls"])) == (None, 64 * 2**20, 2)
    # Smaller pieces than real ones: the store minds only its own minimum of 5 MiB.
    pieces = [bytes(5 * 2**20), b"end"]
    etags = [(await put(url, piece)).headers["ETag"] for url, piece in zip(multipart["urls"], pieces, strict=True)]
    ending = {"key": upload["key"], "upload_id": multipart["upload_id"], "etags": etags}
    path = f"{RUNS}/{run}/uploads"
    assert (await api.ask("POST", path, ending | {"key": "mnist/data/other.tar"}))[0] == 404
    assert (await api.ask("POST", path, ending | {"etags": etags[::-1]}))[1]["error"]["code"] == "upload.incomplete"
    assert await api.ask("POST", path, ending) == (200, {"key": upload["key"]})
    told = (await created(api.bus, run))["data"]
    assert told["size"] == 5 * 2**20 + 3
    # What ingest reads is what was told of: the ETag of a joined object is no hash of its content.
    assert store.get_object(Bucket="kaos-inbox", Key=upload["key"], IfMatch=f'"{told["etag"]}"')["Body"].close() is None
    assert store.head_object(Bucket="kaos-inbox", Key=upload["key"])["Metadata"]["kaos-run"] == run
    assert await api.ask("POST", path, ending) == (200, {"key": upload["key"]}), "a repeated ending"
    [event] = [event async for event in api.lines(f"{path.removesuffix('/uploads')}/events") if "key" in event["data"]]
    assert event["data"]["key"] == upload["key"], "an object is told of to those who ask for its run"


async def test_a_bare_object_is_told_too(api: Any, store: Any) -> None:
    await asyncio.to_thread(lambda: store.put_object(Bucket="kaos-inbox", Key="mnist/data/a b+c é.zip", Body=b"x"))
    events = await api.bus.stream.subscribe("kaos.mnist.object.created", stream="kaos-events", ordered_consumer=True)
    event = json.loads((await events.next_msg(timeout=10)).data)
    await events.unsubscribe()
    assert event["data"]["key"] == "mnist/data/a b+c é.zip"


async def test_a_submission_makes_its_workspace(api: Any, tree: Any) -> None:
    part = {"kind": "source", "filename": "m.zip", "size": 5}
    assert (await api.ask("POST", "/v1/workspaces/new/runs", {"parts": [part]}))[0] == 201
    assert "new" in tree.projects


async def test_workspaces(api: Any) -> None:
    status, mnist = await api.ask("PUT", "/v1/workspaces/mnist")
    assert (status, mnist["name"]) == (200, "mnist")
    assert (await api.ask("GET", "/v1/workspaces"))[1] == {"workspaces": [mnist]}
    await api.a_run(inputs={"source": "m:1", "data": "d:1", "image": "i"}, state="succeeded")
    inputs = {"source": "m:1", "data": "d:1", "params": "", "image": "i"}
    assert await api.ask("GET", "/v1/workspaces/mnist") == (200, mnist | {"runs": 1, "inputs": inputs})
    for path in ("", "/runs", "/events"):
        status, answer = await api.ask("GET", f"/v1/workspaces/nowhere{path}")
        assert (status, answer["error"]["code"]) == (404, "workspace.unknown")


async def test_runs_are_chosen_by_state_and_time_in_one_workspace_and_in_all(api: Any) -> None:
    old = await api.a_run(id="01jc0000000000000000000000", created="2026-01-01T00:00:00Z", state="failed")
    new = await api.a_run(state="failed", author="ada")
    await api.a_run(id="01jb0000000000000000000000", workspace="other", created="2026-01-02T00:00:00Z")

    async def ids(path: str) -> list[str]:
        status, answer = await api.ask("GET", path)
        assert status == 200
        return [run["id"] for run in answer["runs"]]

    assert await ids(f"{RUNS}?since=2026-01-01T12:00:00%2B00:00") == [new.id]
    assert await ids(f"{RUNS}?state=failed&limit=1") == [new.id]
    assert await ids(f"{RUNS}?state=killed&state=failed") == [new.id, old.id]
    assert await ids(f"{RUNS}?limit=1&before={new.id}") == [old.id]
    assert await ids(f"{RUNS}?before={old.id}") == []
    assert await ids("/v1/runs") == [new.id, old.id, "01jb0000000000000000000000"]
    assert await ids("/v1/runs?state=failed") == [new.id, old.id]


async def test_a_submission_says_who_and_whether_by_force(api: Any) -> None:
    body = {"parts": [{"kind": "source", "filename": "m.zip", "size": 5}], "author": "ada", "force": True}
    _, submitted = await api.ask("POST", RUNS, body)
    assert (submitted["run"]["author"], submitted["run"]["force"]) == ("ada", True)
    assert (await api.ask("POST", RUNS, body | {"author": "a" * 201}))[0] == 400
