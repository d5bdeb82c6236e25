"""From a manifest of remote data to the shards that a commit will hold; only what kaos may fetch gets so far."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from functions.ingest.bundle import Bundle, Files
from functions.ingest.packed import Packed
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


def read(name: str, packed: Packed, into: Path, rules: Rules, previous: Iterable[bytes]) -> Bundle:
    """Checks the manifest and writes its shards into the directory `into`, which is empty, and needed by the bundle.

    `previous` are the shards of the version before. Raises Reject `manifest.address`, `.bucket` or `.too-large`, and
    as shared.manifests.read. Names are not looked up here: what they lead to is checked when it is fetched, which is
    the only time that counts.
    """
    manifests.check_size(packed.size)
    digests, whole, canonical = [], into / "packed", into / "lines"
    with packed.open() as source, whole.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    with canonical.open("wb") as file:
        for line in _checked(whole, rules):
            text = line.canonical()
            digests.append(digest_of(text))
            file.write(text + b"\n")
    return Bundle(name, tree_of(digests), partial(_files, divide(canonical, digests, previous, into)))


def _files(shards: list[tuple[str, Path]]) -> Files:
    for path, shard in shards:
        yield path, iter((shard.read_bytes(),))


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
