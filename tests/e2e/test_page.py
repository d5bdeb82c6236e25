"""The web page against a whole stack: it is there, and what it asks for is answered as it expects."""

import json
import re
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest

from tests.e2e.conftest import BOUND, User
from tests.e2e.test_metrics import PRINTS

TYPES = "type=kaos.run.changed&type=kaos.job.started&type=kaos.job.finished"
IN_PROGRESS = "&".join(f"state={state}" for state in ("received", "ingesting", "building", "waiting", "training"))
Get = Callable[..., bytes]


@pytest.fixture
def get(user: User) -> Get:
    """Asks as a browser does, with the token where it is for data."""
    known = user.stack.credentials()

    def get(path: str, *, token: str = known["KAOS_TOKEN"]) -> bytes:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"{known['KAOS_ENDPOINT']}/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=BOUND) as answer:
            body: bytes = answer.read()
        return body

    return get


def lines(body: bytes) -> Iterator[Any]:
    return map(json.loads, body.splitlines())


def test_the_page_and_all_it_names_are_served_without_a_token(user: User, get: Get) -> None:
    entry = get("", token="").decode()
    named = re.findall(r'(?:href|src)="(page/[^"]+)"', entry)
    assert any(each.endswith("/main.js") for each in named)
    assert all(get(path, token="") for path in named)
    assert f"{user.stack.credentials()['KAOS_ENDPOINT']}/" in user.stack.call("status").stdout


def test_data_is_not_served_without_the_token(user: User, get: Get) -> None:
    for token in ("", "wrong"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get("v1/workspaces", token=token)
        assert refused.value.code == 401
        assert json.loads(refused.value.read())["error"]["code"] == "auth.token"


def test_a_run_is_watched_from_the_list_to_its_model(user: User, get: Get) -> None:
    of_runs = f"v1/workspaces/{user.workspace}/runs"
    assert user.workspace in [each["name"] for each in json.loads(get("v1/workspaces"))["workspaces"]]
    assert json.loads(get(f"{of_runs}?limit=51"))["runs"] == []
    since = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    user.kaos("train", "deploy", "-s", user.source(PRINTS.format(seconds=2)), "-d", user.data())
    [run] = json.loads(get(f"{of_runs}?limit=51&{IN_PROGRESS}"))["runs"]
    path = f"{of_runs}/{run['id']}"

    # Two streams at once, as the page has them; both end with the run.
    log: list[Any] = []
    reader = threading.Thread(target=lambda: log.extend(lines(get(f"{path}/logs?stage=train&follow=true&tail=10000"))))
    reader.start()
    events = [*lines(get(f"{path}/events?follow=true"))]
    reader.join(BOUND)

    assert [event["data"]["state"] for event in events if event["type"] == "kaos.run.changed"][-1] == "succeeded"
    reports = [event["data"] for event in events if event["type"] == "kaos.metrics.reported"]
    assert [(report["step"], report["metrics"]["loss"]) for report in reports] == [(1, 0.5), (2, 0.25)]
    assert [line["seq"] for line in log] == [*range(len(log))]
    told = {event["type"] for event in lines(get(f"v1/workspaces/{user.workspace}/events?since={since}&{TYPES}"))}
    assert told == {"kaos.run.changed", "kaos.job.started", "kaos.job.finished"}

    shown = json.loads(get(path))
    [trial] = shown["trials"]
    lineage = json.loads(get(f"v1/workspaces/{user.workspace}/models/{trial['model']}/provenance?run={run['id']}"))
    assert {node["kind"] for node in lineage["nodes"]} >= {"source", "image", "data", "training", "trial", "model"}
    with tarfile.open(fileobj=BytesIO(get(f"{path}/files/model?trial={trial['id']}"))) as tar:
        assert f"{trial['model']}/model/m" in tar.getnames()
    assert json.loads(get(f"{of_runs}?limit=51&before={run['id']}"))["runs"] == []
