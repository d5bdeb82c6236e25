"""What every route has in common: the token, checked names, strict bodies, and one form of error."""

import json
from typing import Any

import pytest
from fastapi import FastAPI

RUN = "01jd0000000000000000000000"
ROUTES = [
    ("GET", "/v1/info"),
    ("GET", "/v1/workspaces"),
    ("GET", "/v1/runs"),
    ("PUT", "/v1/workspaces/mnist"),
    ("GET", "/v1/workspaces/mnist"),
    ("DELETE", "/v1/workspaces/mnist"),
    ("GET", "/v1/workspaces/mnist/contents"),
    ("POST", "/v1/workspaces/mnist/runs"),
    ("POST", "/v1/workspaces/mnist/dry-run"),
    ("GET", "/v1/workspaces/mnist/runs"),
    ("GET", f"/v1/workspaces/mnist/runs/{RUN}"),
    ("POST", f"/v1/workspaces/mnist/runs/{RUN}/uploads"),
    ("POST", f"/v1/workspaces/mnist/runs/{RUN}/kill"),
    ("POST", f"/v1/workspaces/mnist/runs/{RUN}/retry"),
    ("POST", f"/v1/workspaces/mnist/runs/{RUN}/trials/cebf65/kill"),
    ("GET", f"/v1/workspaces/mnist/runs/{RUN}/logs"),
    ("GET", f"/v1/workspaces/mnist/runs/{RUN}/events"),
    ("GET", "/v1/workspaces/mnist/events"),
    ("GET", f"/v1/workspaces/mnist/runs/{RUN}/files/model"),
    ("GET", "/v1/workspaces/mnist/models/e23a2f1_9fd9d03:cebf65/provenance"),
]


async def test_the_api_is_described(ask: Any) -> None:
    assert (await ask("GET", "/docs")).status == 200


async def test_health_needs_no_token(ask: Any) -> None:
    assert (await ask("GET", "/healthz")).json == {"status": "ok"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("token", ["", "Bearer sesame", "Basic b3Blbg==", "open"])
async def test_every_route_needs_the_api_s_token(ask: Any, method: str, path: str, token: str) -> None:
    answer = await ask(method, path, b"{", token=token)
    assert (answer.status, answer.code) == (401, "auth.token")


def test_no_route_was_forgotten_above(api: FastAPI) -> None:
    documented = {
        (
            method.upper(),
            path.replace("{ws}", "mnist")
            .replace("{run}", RUN)
            .replace("{what}", "model")
            .replace("{trial}", "cebf65")
            .replace("{model}", "e23a2f1_9fd9d03:cebf65"),
        )
        for path, methods in api.openapi()["paths"].items()
        for method in methods
    }
    assert documented == {*ROUTES, ("GET", "/healthz"), ("POST", "/webhooks/s3")}


async def test_info_tells_addresses_and_no_secrets(ask: Any) -> None:
    told = (await ask("GET", "/v1/info", token="Bearer open")).json
    assert set(told) == {"version", "nats_url", "s3_endpoint", "inbox_bucket"}


@pytest.mark.parametrize("name", ["*", ">", "a.b", "a b", "A", "a%0D%0A", "-a", "a" * 41, "%00", "é"])
async def test_what_cannot_name_a_workspace_is_refused(ask: Any, name: str) -> None:
    from urllib.parse import unquote

    for path in (f"/v1/workspaces/{unquote(name)}", f"/v1/workspaces/{unquote(name)}/events"):
        answer = await ask("GET", path, token="Bearer open")
        assert (answer.status, answer.code) == (400, "workspace.name")


@pytest.mark.parametrize("run", ["*", ">", "x", RUN.upper(), RUN + "0", RUN[:-1] + ".", RUN[:-1] + "l", "8" + RUN[1:]])
async def test_what_cannot_be_a_run_is_unknown(ask: Any, run: str) -> None:
    answer = await ask("GET", f"/v1/workspaces/mnist/runs/{run}", token="Bearer open")
    assert (answer.status, answer.code) == (404, "run.unknown")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2", 404, "route.unknown"),
        ("PATCH", "/v1/workspaces/mnist", 405, "route.method"),
        ("GET", "/v1/workspaces/mnist/runs?limit=0", 400, "request.invalid"),
        ("GET", "/v1/workspaces/mnist/runs?state=done", 400, "request.invalid"),
        ("GET", "/v1/workspaces/mnist/runs?since=yesterday", 400, "request.invalid"),
        ("GET", "/v1/runs?since=2026-07-29T15:25:46", 400, "request.invalid"),
    ],
)
async def test_errors_have_one_form(ask: Any, method: str, path: str, status: int, code: str) -> None:
    answer = await ask(method, path, token="Bearer open")
    assert (answer.status, answer.code) == (status, code)


PART = {"kind": "source", "filename": "mnist.zip", "size": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"parts": []}, "request.invalid"),
        ({"parts": [PART | {"kind": "sauce"}]}, "request.invalid"),
        ({"parts": [PART | {"size": 0}]}, "request.invalid"),
        ({"parts": [PART | {"size": True}]}, "request.invalid"),
        ({"parts": [PART | {"size": "1"}]}, "request.invalid"),
        ({"parts": [PART | {"extra": 1}]}, "request.invalid"),
        ({"parts": [PART], "options": {"cpus": 1}}, "request.invalid"),
        ({"parts": [PART], "options": {"cpu": 0}}, "request.invalid"),
        ({"parts": [PART], "options": {"cpu": -0.5}}, "request.invalid"),
        ({"parts": [PART], "options": {"cpu": True}}, "request.invalid"),
        ({"parts": [PART], "options": {"cpu": "1"}}, "request.invalid"),
        ({"parts": [PART], "options": {"cpu": float("nan")}}, "json.number"),
        ({"parts": [PART], "options": {"cpu": float("inf")}}, "json.number"),
        ({"parts": [PART], "options": {"memory": True}}, "request.invalid"),
        ({"parts": [PART], "options": {"memory": 2**30}}, "request.invalid"),
        ({"parts": [PART], "options": {"memory": "0"}}, "options.memory"),
        ({"parts": [PART], "options": {"memory": "-1Gi"}}, "options.memory"),
        ({"parts": [PART], "options": {"gpu": -1}}, "request.invalid"),
        ({"parts": [PART], "options": {"gpu": True}}, "request.invalid"),
        ({"parts": [PART], "options": {"gpu": 0.5}}, "request.invalid"),
        ({"parts": [PART], "options": {"gpu": 0}}, "options.gpu"),
        ({"parts": [PART], "options": {"parallelism": True}}, "request.invalid"),
        ({"parts": [PART], "options": {"gpu": 100}}, "options.gpu"),
        ({"parts": [PART], "options": {"cpu": 1e9}}, "options.cpu"),
        ({"parts": [PART], "options": {"memory": "512m"}}, "options.memory"),
        ({"parts": [PART], "options": {"memory": "1e9Gi"}}, "options.memory"),
        ({"parts": [PART, PART]}, "run.parts"),
        ({"parts": [PART | {"kind": "data"}, PART | {"kind": "manifest"}]}, "run.parts"),
        ({"parts": [PART | {"filename": "../x.zip"}]}, "bundle.name"),
        ({"parts": [PART | {"filename": "a/b.zip"}]}, "bundle.name"),
        ({"parts": [PART | {"filename": ""}]}, "bundle.name"),
        ({"parts": [PART | {"size": 2**50}]}, "bundle.size"),
    ],
)
async def test_a_submission_that_cannot_become_a_run_leaves_nothing(ask: Any, body: object, code: str) -> None:
    answer = await ask("POST", "/v1/workspaces/mnist/runs", json.dumps(body).encode(), token="Bearer open")
    assert (answer.status, answer.code) == (400, code)


PLANNED = PART | {"tree": "e" * 64}


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (PART, "request.invalid"),
        (PLANNED | {"tree": "e" * 63}, "request.invalid"),
        (PLANNED | {"trials": ["3"]}, "request.invalid"),
        (PLANNED | {"trials": ["e" * 64] * 10_001}, "request.invalid"),
        (PLANNED | {"filename": "../x.zip"}, "bundle.name"),
    ],
)
async def test_a_dry_run_is_refused_where_the_run_would_be(ask: Any, part: object, code: str) -> None:
    body = json.dumps({"parts": [part]}).encode()
    answer = await ask("POST", "/v1/workspaces/mnist/dry-run", body, token="Bearer open")
    assert (answer.status, answer.code) == (400, code)


async def test_bodies_are_read_strictly(ask: Any) -> None:
    for body in (b"", b"{", b"[" * 100_000, b'{"parts": [], "parts": []}', b'{"parts": NaN}'):
        answer = await ask("POST", "/v1/workspaces/mnist/runs", body, token="Bearer open")
        assert answer.status == 400
        assert answer.code.startswith("json.")
