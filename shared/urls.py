"""The addresses of remote data, read so strictly that no two programs can read them differently."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Literal, cast

from shared.addresses import Address

# As much as most servers take; a presigned address has about 1,500 characters with a session token.
_LENGTH_MAX: Final = 4096
_HTTP: Final = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#\\]+)(?P<target>(?:[/?][^#\\]*)?)(?:#.*)?", re.IGNORECASE
)
_AUTHORITY: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")
# A label of a host's name; underscores are not legal there, and used.
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_HOST_MAX: Final = 253
# What inet_aton takes for a number: to some programs, a name that ends in one is an IPv4 address.
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY_MAX_BYTES: Final = 1024
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PORTS: Final = range(1, 1 << 16)


@dataclass(frozen=True)
class Url:
    """An address over HTTP. `host` is in lower case and without brackets; `target` is path and query, no fragment."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"

    @property
    def literal(self) -> Address | None:
        """The address, where the host is written as one."""
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if _NUMBER.fullmatch(self.host.rpartition(".")[2]) else None


@dataclass(frozen=True)
class S3Url:
    """An object of an S3 store, `s3://<bucket>/<key>`; the key is written as it is, not percent-encoded."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def parse(text: str) -> Url | S3Url:
    """Reads an http, https or s3 address. Raises ValueError: the reason, fit to follow the address."""
    if len(text) > _LENGTH_MAX:
        raise ValueError(f"is longer than {_LENGTH_MAX} characters")
    return _parse_s3(text) if text[:5].lower() == "s3://" else parse_http(text)


def parse_http(text: str) -> Url:
    """Reads an http or https address. Raises ValueError as `parse`."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has characters that an address can't have: percent-encode them, or use a host's xn-- name")
    match = _HTTP.fullmatch(text)
    if match is None:
        scheme = text.partition(":")[0]
        known = scheme.lower() in _DEFAULT_PORTS
        raise ValueError("is malformed" if known else "is not an http, https or s3 address")
    if "@" in match["authority"]:
        raise ValueError("carries a user name or password: use an address that needs none, such as a presigned one")
    authority = _AUTHORITY.fullmatch(match["authority"])
    scheme = cast("Literal['http', 'https']", match["scheme"].lower())
    if authority is None or int(authority["port"] or _DEFAULT_PORTS[scheme]) not in _PORTS:
        raise ValueError("has no valid host and port")
    host = _six(authority["six"]) if authority["six"] else _host(authority["host"])
    target = match["target"]
    return Url(
        scheme,
        host,
        int(authority["port"] or _DEFAULT_PORTS[scheme]),
        target if target.startswith("/") else f"/{target}",
    )


def redacted(text: str) -> str:
    """An address fit to be shown: without a query, which may be a signature, and without a user's name."""
    address, question, _ = text.partition("?")
    scheme, slashes, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    shown = f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}{'?…' if question else ''}"
    return "".join(character if character.isprintable() else "�" for character in shown)[:300]


def _six(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise ValueError("has no valid IPv6 address between its brackets") from None


def _host(text: str) -> str:
    """A host's name in lower case, or an IPv4 address in the one form that all programs read alike."""
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(text))
        except AddressValueError:
            raise ValueError("hides an IPv4 address: write it as four decimal numbers, like 192.0.2.1") from None
    if len(text) > _HOST_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("has no valid host")
    return text.lower()


def _parse_s3(text: str) -> S3Url:
    bucket, _, key = text[len("s3://") :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("names no valid bucket: write s3://bucket/key")
    if not key or not key.isprintable() or len(key.encode(errors="surrogatepass")) > _KEY_MAX_BYTES:
        raise ValueError("names no valid key: write s3://bucket/key")
    return S3Url(bucket, key)
