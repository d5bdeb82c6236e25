"""What the operator allows the fetcher, from its environment. Without pydantic, whose import takes 0.3 s a shard."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.addresses import Allowed, allowed
from shared.errors import KaosError

# 32 requests of 1 ms keep two cores busy, and are few for a server that is not ours.
_CONNECTIONS: Final = 32
# A file of 256 GiB is a data set that forgot to be divided; a shard of 4 TiB fills most disks.
_MAX_FILE_BYTES: Final = 256 * 2**30
_MAX_TOTAL_BYTES: Final = 4 * 2**40
_PATIENCE_SECONDS: Final = 60
_BACKOFF_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Store:
    """The object store that s3:// addresses are read from, and with what."""

    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """Caps are in bytes, of one file and of all files of a shard.

    `patience` is in seconds: a connection that brings next to nothing for so long is given up. So is `backoff`, the
    delay before what failed once is tried again; it doubles from then on.
    """

    allow: Allowed = field(default_factory=Allowed)
    buckets: frozenset[str] = frozenset()
    store: Store | None = None
    connections: int = _CONNECTIONS
    max_file_bytes: int = _MAX_FILE_BYTES
    max_total_bytes: int = _MAX_TOTAL_BYTES
    patience: float = _PATIENCE_SECONDS
    backoff: float = _BACKOFF_SECONDS


def read(environ: Mapping[str, str]) -> Settings:
    """The settings, from `KAOS_FETCH_…` and `KAOS_S3_…`. Raises KaosError `fetch.settings`."""
    try:
        allow = allowed(environ.get("KAOS_FETCH_ALLOW", ""))
    except ValueError as error:
        raise KaosError("fetch.settings", f"KAOS_FETCH_ALLOW can't be read: {error}.") from None
    return Settings(
        allow=allow,
        buckets=frozenset(environ.get("KAOS_FETCH_BUCKETS", "").split()),
        store=_store(environ),
        connections=_number(environ, "KAOS_FETCH_CONNECTIONS", _CONNECTIONS),
        max_file_bytes=_number(environ, "KAOS_FETCH_MAX_FILE_BYTES", _MAX_FILE_BYTES),
        max_total_bytes=_number(environ, "KAOS_FETCH_MAX_TOTAL_BYTES", _MAX_TOTAL_BYTES),
        patience=_number(environ, "KAOS_FETCH_PATIENCE_SECONDS", _PATIENCE_SECONDS),
    )


def _store(environ: Mapping[str, str]) -> Store | None:
    endpoint, access_key = environ.get("KAOS_S3_ENDPOINT", ""), environ.get("KAOS_S3_ACCESS_KEY", "")
    if not endpoint or not access_key:
        return None
    secret_key = environ.get("KAOS_S3_SECRET_KEY", "")
    return Store(endpoint, environ.get("KAOS_S3_REGION", "us-east-1"), access_key, secret_key)


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise KaosError("fetch.settings", f"{name} is {text[:40]!r}: it must be a whole number above 0.")
    return int(text)
