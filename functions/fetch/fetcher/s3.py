"""s3:// addresses: read with the service's own credentials, from buckets that the operator named and no others."""

from functools import cache
from typing import Any, Final
from urllib.parse import quote

from functions.fetch.fetcher.settings import Settings, Store
from shared.errors import Reject
from shared.urls import S3Url, Url, parse_http

# Signed anew for each attempt, and used at once; clocks may differ by a few minutes.
_VALID_SECONDS: Final = 900


def presigned(url: S3Url, settings: Settings) -> Url:
    """The address over HTTP at which the store gives the object. Raises Reject `fetch.bucket`."""
    store = settings.store
    if url.bucket not in settings.buckets or store is None:
        raise Reject(
            "fetch.bucket",
            f"kaos may not read bucket {url.bucket} ({url}): use an https address, or have the bucket added to "
            "KAOS_FETCH_BUCKETS.",
        )
    from botocore.auth import S3SigV4QueryAuth  # noqa: PLC0415 - 0.3 s that a shard without s3:// is spared
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    request = AWSRequest(method="GET", url=f"{store.endpoint.rstrip('/')}/{url.bucket}/{quote(url.key, safe='/~')}")
    S3SigV4QueryAuth(_credentials(store), "s3", store.region, expires=_VALID_SECONDS).add_auth(request)
    return parse_http(str(request.url))


@cache
def _credentials(store: Store) -> Any:
    from botocore.credentials import Credentials  # noqa: PLC0415

    return Credentials(store.access_key, store.secret_key)
