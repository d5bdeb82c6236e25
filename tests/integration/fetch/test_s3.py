"""s3:// addresses are read from a real store with the service's credentials, and from no bucket that is not named."""

from dataclasses import replace

import pytest

from functions.fetch.fetcher.settings import Store
from shared.bucket import Bucket
from shared.settings import Settings
from tests.integration.fetch.conftest import Fetcher

KEYS = ("a.csv", "deep/er/a b+c%20=~'ü.csv", "x?y#z")


@pytest.fixture
def reader(fetcher: Fetcher, store_settings: Settings) -> Fetcher:
    """One that may read the inbox, and no address but the store's for s3://."""
    key = store_settings.s3_access_key.get_secret_value()
    store = Store(store_settings.s3_endpoint, "us-east-1", key, store_settings.s3_secret_key.get_secret_value())
    fetcher.settings = replace(fetcher.settings, store=store, buckets=frozenset({store_settings.inbox_bucket}))
    return fetcher


@pytest.mark.parametrize("key", KEYS)
def test_an_object_is_read(reader: Fetcher, bucket: Bucket, store_settings: Settings, key: str) -> None:
    bucket.client.put_object(Bucket=store_settings.inbox_bucket, Key=key, Body=b"1,2")
    reader.fetch({"url": f"s3://{store_settings.inbox_bucket}/{key}", "path": "a.csv"})
    assert reader.files() == {"a.csv": b"1,2"}


def test_the_store_itself_may_not_be_asked_by_http(reader: Fetcher, bucket: Bucket, store_settings: Settings) -> None:
    url = f"{store_settings.s3_endpoint}/{store_settings.inbox_bucket}/a.csv"
    assert reader.fails({"url": url, "path": "a.csv"}).code == "fetch.address"


def test_another_bucket_is_refused(reader: Fetcher, bucket: Bucket, store_settings: Settings) -> None:
    failure = reader.fails({"url": "s3://kaos-logs/mnist/run.ndjson", "path": "a.csv"})
    assert failure.code == "fetch.bucket"


def test_a_key_that_is_not_there_is_told(reader: Fetcher, bucket: Bucket, store_settings: Settings) -> None:
    url = f"s3://{store_settings.inbox_bucket}/missing.csv"
    failure = reader.fails({"url": url, "path": "a.csv"})
    assert failure.code == "fetch.refused"
    assert f"{url} (for a.csv)" in failure.message
    assert "404" in failure.message


def test_wrong_credentials_are_told_and_not_shown(reader: Fetcher, bucket: Bucket, store_settings: Settings) -> None:
    assert reader.settings.store is not None
    store = replace(reader.settings.store, secret_key="wrong-secret")
    failure = reader.fails({"url": f"s3://{store_settings.inbox_bucket}/a.csv", "path": "a.csv"}, store=store)
    assert failure.code == "fetch.refused"
    assert "403" in failure.message
    assert store.access_key not in failure.message
