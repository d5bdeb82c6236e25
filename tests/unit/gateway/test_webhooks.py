"""The webhook answers 202 once every event is on NATS, and otherwise with a reason."""

import base64
from pathlib import Path
from typing import Any

import pytest

from functions.gateway.strict_json import MAX_BYTES
from shared.settings import Settings

EVENTS = Path(__file__).parents[2] / "events"
PUT = EVENTS.joinpath("minio-put.json").read_bytes()


async def test_each_event_is_published_on_its_workspace_s_subject(ask: Any, stream: Any) -> None:
    answer = await ask("POST", "/webhooks/s3", PUT, token="Bearer sesame", chunks=7)
    assert (answer.status, answer.json) == (202, {"accepted": 1, "ignored": 0})
    [(subject, event)] = stream.published.values()
    assert subject == "kaos.mnist.object.created"
    assert event["source"] == "/kaos/gateway"
    assert event["data"]["key"] == "mnist/data/a b+c é%2F.tar.gz"


async def test_both_targets_tell_one_event(ask: Any, stream: Any) -> None:
    for _ in range(2):
        assert (await ask("POST", "/webhooks/s3", PUT, token="Bearer sesame")).status == 202
    assert len(stream.published) == 1


async def test_where_nats_does_not_acknowledge_the_store_must_tell_it_again(ask: Any, stream: Any) -> None:
    stream.down = True
    answer = await ask("POST", "/webhooks/s3", PUT, token="Bearer sesame")
    assert (answer.status, answer.code) == (503, "nats.unreachable")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer",
        "Bearer wrong",
        "Bearer sesame2",
        "bearer open",
        "sesame",
        "Basic sesame",
        "Basic !",
        "Digest sesame",
        "Bearer sésame",
    ],
)
async def test_without_the_token_nothing_is_read(ask: Any, stream: Any, token: str) -> None:
    answer = await ask("POST", "/webhooks/s3", b"{", token=token)
    assert (answer.status, answer.code) == (401, "auth.token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not stream.published


@pytest.mark.parametrize(
    "token",
    ["Bearer sesame", "bearer sesame", "Bearer Bearer sesame", "Basic " + base64.b64encode(b"sns:sesame").decode()],
)
async def test_stores_present_the_token_in_several_ways(ask: Any, token: str) -> None:
    assert (await ask("POST", "/webhooks/s3", PUT, token=token)).status == 202


@pytest.mark.parametrize("chunks", [1, 100])
async def test_a_body_is_cut_off_at_the_limit(ask: Any, chunks: int) -> None:
    answer = await ask("POST", "/webhooks/s3", b" " * (MAX_BYTES + 1), token="Bearer sesame", chunks=chunks)
    assert (answer.status, answer.code) == (413, "json.size")


async def test_an_sns_subscription_is_answered(ask: Any, stream: Any) -> None:
    body = EVENTS.joinpath("sns-confirmation.json").read_bytes()
    assert (await ask("POST", "/webhooks/s3", body, token="Bearer sesame")).status == 202
    assert not stream.published


class TestWithoutTokens:
    """A gateway that was started without tokens lets nobody in, and says what to do."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"api_token": "", "webhook_token": ""})

    @pytest.mark.parametrize(
        ("method", "path", "variable"),
        [("POST", "/webhooks/s3", "KAOS_WEBHOOK_TOKEN"), ("GET", "/v1/info", "KAOS_API_TOKEN")],
    )
    async def test_refuses(self, ask: Any, method: str, path: str, variable: str) -> None:
        for token in ("", "Bearer ", "Bearer x"):
            answer = await ask(method, path, b"{}", token=token)
            assert (answer.status, answer.code) == (503, "auth.unconfigured")
            assert variable in answer.json["error"]["message"]
