"""From a manifest of remote data to the shards that a commit will hold; only what kaos may fetch gets so far."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from functions.ingest.bundle import Bundle
from functions.ingest.shards import divide
from shared import manifests
from shared.addresses import Allowed, allowed, refusal
from shared.errors import Reject
from shared.manifests import Line, bad_line, digest_of, tree_of
from shared.settings import Settings
from shared.urls import S3Url, parse, redacted


@dataclass(frozen=True)
class Rules:
    """What a manifest may ask for. `buckets` may be read with the service's own credentials."""

    allow: Allowed
    buckets: frozenset[str]
    max_bytes: int


def rules_of(settings: Settings) -> Rules:
    """The operator's rules."""
    return Rules(
        allowed(settings.fetch_allow), frozenset(settings.fetch_buckets.split()), settings.fetch_manifest_max_bytes
    )


def read(name: str, packed: Path, into: Path, rules: Rules, previous: Iterable[bytes]) -> Bundle:
    """Checks the manifest in file `packed` and writes its shards into the new directory `into`.

    `previous` are the shards of the version before. Raises Reject `manifest.address`, `.bucket` or `.too-large`, and
    as shared.manifests.read. Names are not looked up here: what they lead to is checked when it is fetched, which is
    the only time that counts.
    """
    into.mkdir()
    digests, canonical = [], into / "lines"
    with canonical.open("wb") as file:
        for line in _checked(packed, rules):
            text = line.canonical()
            digests.append(digest_of(text))
            file.write(text + b"\n")
    tree = tree_of(digests)
    return Bundle(name, tree, divide(canonical, digests, previous, into))


def _checked(path: Path, rules: Rules) -> Iterator[Line]:
    declared = 0
    for number, line in manifests.read(path):
        _check_address(number, line, rules)
        declared += line.size or 0
        if declared > rules.max_bytes:
            raise Reject(
                "manifest.too-large",
                f"The files of the manifest have more than {rules.max_bytes:,} bytes, the most that is fetched for "
                "one: divide it.",
            )
        yield line


def _check_address(number: int, line: Line, rules: Rules) -> None:
    url = parse(line.url)
    shown = redacted(line.url)
    if isinstance(url, S3Url):
        if url.bucket not in rules.buckets:
            raise bad_line(
                number,
                "bucket",
                f"names {shown}, whose bucket kaos may not read: use an https address (presigned where it must be), "
                "or have the bucket added to KAOS_FETCH_BUCKETS",
            )
    elif url.literal is not None and (why := refusal(url.host, url.port, url.literal, rules.allow)):
        raise bad_line(
            number,
            "address",
            f"names {shown}, whose address is {why}: only public addresses are fetched, and those in KAOS_FETCH_ALLOW",
        )
