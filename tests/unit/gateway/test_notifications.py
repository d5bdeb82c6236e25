"""Real notifications of five stores become the same event."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.gateway.errors import Refused
from functions.gateway.notifications import Notification, read
from shared.events import ObjectCreated

EVENTS = Path(__file__).parents[2] / "events"
KEY = "mnist/data/a b+c é%2F.tar.gz"
RUN = "01jd0000000000000000000000"


def told(name: str, bucket: str = "kaos-inbox") -> Notification:
    return read(EVENTS.joinpath(f"{name}.json").read_bytes(), bucket=bucket)


def record(**entity: Any) -> str:
    stored = {"key": "mnist/source/mnist.zip", "size": 1, "eTag": "e"} | entity
    body = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "kaos-inbox"}, "object": stored}}
    return json.dumps({"Records": [body]})


def test_minio() -> None:
    [event] = told("minio-put").created
    assert event.time == datetime(2026, 11, 23, 20, 37, 10, 218_000, tzinfo=UTC)
    assert event.data == ObjectCreated(
        workspace="mnist",
        bucket="kaos-inbox",
        key=KEY,
        size=5,
        etag="5d41402abc4b2a76b9719d911017c592",
        sequencer="18EAC7060A676FE6",
        metadata={"kaos-run": RUN, "kaos-parts": "source,data", "content-type": "binary/octet-stream"},
    )


@pytest.mark.parametrize("name", ["minio-put", "aws-put", "sns-put", "eventbridge-put", "rgw-put"])
def test_every_store_names_the_same_key(name: str) -> None:
    [event] = told(name).created
    assert (event.data.workspace, event.data.key) == ("mnist", KEY)
    assert event.data.etag
    assert event.data.sequencer
    assert event.time.year == 2026


def test_what_is_told_again_is_the_same_event_to_the_last_byte() -> None:
    assert told("minio-put").created[0].to_bytes() == told("minio-put").created[0].to_bytes()


def test_ceph_lists_its_metadata() -> None:
    [event] = told("rgw-put").created
    assert event.data.metadata["kaos-run"] == RUN
    assert event.data.version == ""


def test_amazon_versions_are_the_identity() -> None:
    [event] = told("aws-put").created
    assert event.data.version == "096fKKXTRTtl3on89fVO.nfljtsv6qko"
    assert told("sns-put").created == (event,)


def test_an_empty_object_has_no_size_and_a_joined_one_no_metadata() -> None:
    [empty] = told("minio-put-empty").created
    assert empty.data.size == 0
    [joined] = told("minio-multipart").created
    assert (joined.data.size, joined.data.metadata) == (1, {})


@pytest.mark.parametrize("name", ["minio-removed", "minio-tagging", "aws-test"])
def test_what_is_no_new_object_is_passed_over(name: str) -> None:
    assert told(name) == Notification(ignored=1)


def test_one_body_may_tell_several_things() -> None:
    several = told("aws-several")
    assert [event.data.key for event in several.created] == [KEY, "mnist/source/mnist.zip"]
    assert several.ignored == 1


def test_another_bucket_is_passed_over() -> None:
    assert told("minio-put", bucket="other") == Notification(ignored=1)


def test_a_subscription_is_for_a_person_to_confirm() -> None:
    assert told("sns-confirmation").confirm.startswith("https://sns.eu-central-1.amazonaws.com/")


@pytest.mark.parametrize(
    "key",
    [
        "mnist",
        "mnist/",
        "mnist/source/",
        "/source/x.zip",
        "..%2Fsource%2Fx.zip",
        "MNIST/source/x.zip",
        "a.b/source/x.zip",
        "*/source/x.zip",
        "%3E/source/x.zip",
        "a%0D%0Ab/source/x.zip",
        "a+b/source/x.zip",
        "%FF/source/x.zip",
    ],
)
def test_a_key_outside_of_any_workspace_is_passed_over_since_it_would_be_repeated_for_ever(key: str) -> None:
    assert read(record(key=key), bucket="kaos-inbox") == Notification(ignored=1)


def test_a_bad_name_within_a_workspace_is_told_so_that_somebody_sees_it_rejected() -> None:
    [event] = read(record(key="mnist/sauce/x%00.zip"), bucket="kaos-inbox").created
    assert event.data.key == "mnist/sauce/x\0.zip"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("[]", "notification.unknown"),
        ("{}", "notification.unknown"),
        ('{"Records": [7]}', "notification.invalid"),
        ('{"Records": [{"eventName": "ObjectCreated:Put"}]}', "notification.invalid"),
        (record(size=True), "notification.invalid"),
        (record(size=-1), "notification.invalid"),
        (record(size="1"), "notification.invalid"),
        (record(eTag=1), "notification.invalid"),
        (record().replace('"eventName"', '"eventTime": "1969-01-01T00:00:00Z", "eventName"'), "notification.invalid"),
        (record().replace('"eventName"', '"eventTime": "2026-11-23", "eventName"'), "notification.invalid"),
        (record(userMetadata={"a": 1}), "notification.invalid"),
        (record(userMetadata=[{"key": 1}]), "notification.invalid"),
        (record().replace('"eventName"', '"eventVersion": "3.0", "eventName"'), "notification.version"),
    ],
)
def test_what_is_no_notification_is_refused(body: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        read(body, bucket="kaos-inbox")
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-central-1.amazonaws.com/a.pem",
        "https://evil.example/a.pem",
        "https://sns.x.amazonaws.com.evil.example/",
        "https://evil.example#sns.eu-central-1.amazonaws.com",
        "https://user@evil.example/sns.eu-central-1.amazonaws.com",
    ],
)
def test_a_foreign_certificate_is_refused(address: str) -> None:
    message = json.loads(EVENTS.joinpath("sns-put.json").read_text()) | {"SigningCertURL": address}
    with pytest.raises(Refused) as refused:
        read(json.dumps(message), bucket="kaos-inbox")
    assert refused.value.status == 403


WORDS = st.sampled_from(
    ["Records", "eventName", "s3", "bucket", "name", "object", "key", "detail", "detail-type", "Type"]
)
NESTED = st.recursive(
    st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=10
)


@settings(max_examples=50)
@given(NESTED)
def test_whatever_comes_is_read_or_refused(value: Any) -> None:
    try:
        read(json.dumps(value), bucket="kaos-inbox")
    except Refused as refused:
        assert 400 <= refused.status < 500  # noqa: PT017  # it may also be read
