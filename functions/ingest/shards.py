"""Divides a manifest's lines into shards, each of which is fetched as a whole, or skipped where it was fetched before.

Which lines share a shard depends on the version before: its shards stay as they are where all their lines are still
there, and what is left goes into new ones. So a line that is added is fetched alone, whatever the manifest's size. (A
fixed rule, such as buckets by hash, would fetch with it all lines that it meets in its bucket, and all lines of all
buckets whenever the number of buckets grows.) A line that is removed or changed makes the others of its shard be
fetched again.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import grpc
from python_pachyderm import Client

from shared.manifests import digest_of, fetch_pipeline
from shared.pachyderm import commit_of, is_code

# A shard costs the start of a program (0.1 s), a line a request (1 ms at best): 10 % of overhead.
_LINES_MAX: Final = 500
# Few lines make as many shards as this, so that they are fetched side by side.
_SPREAD: Final = 8
# Each version may add a shard of a line or two. So many more than a fresh division has, and it is divided afresh.
_FRAGMENTS_MAX: Final = 1000
_NAME_DIGITS: Final = 16


def divide(canonical: Path, digests: list[bytes], previous: Iterable[bytes], into: Path) -> list[tuple[str, Path]]:
    """Writes the shards below `into`; returns where each goes in the commit and lies on this disk.

    `canonical` has the lines, whose digests are `digests`; `previous` are the shards of the version before.
    """
    left = set(digests)
    kept = []
    for content in previous:
        lines = [digest_of(line) for line in content.splitlines()]
        if lines and left.issuperset(lines):
            left.difference_update(lines)
            kept.append(_write(content, into))
    if len(kept) > _FRAGMENTS_MAX + len(digests) // _LINES_MAX:
        left, kept = set(digests), []
    lines_each = min(max(-(-len(left) // _SPREAD), 1), _LINES_MAX)
    return kept + [_write(content, into) for content in _cut(canonical, digests, left, lines_each)]


def previous_shards(client: Client, workspace: str, name: str) -> Iterator[bytes]:
    """The shards of the manifest of this name that was fetched last; none where there was none."""
    head = commit_of(workspace, "manifest", branch=fetch_pipeline(name))
    try:
        sizes = {info.file.path: info.size_bytes for info in client.list_file(head, "/")}
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return
        raise
    for path, size in sizes.items():
        content = client.get_file(head, path).read()
        # The client takes a stream that broke for one that ended: such a shard counts as not known.
        if len(content) == size:
            yield content


def _cut(canonical: Path, digests: list[bytes], left: set[bytes], lines_each: int) -> Iterator[bytes]:
    batch: list[bytes] = []
    with canonical.open("rb") as lines:
        for digest, line in zip(digests, lines, strict=True):
            if digest in left:
                batch.append(line)
                if len(batch) == lines_each:
                    yield b"".join(batch)
                    batch = []
    if batch:
        yield b"".join(batch)


def _write(content: bytes, into: Path) -> tuple[str, Path]:
    name = f"{hashlib.sha256(content).hexdigest()[:_NAME_DIGITS]}.mf"
    path = into / name
    path.write_bytes(content)
    return f"/{name}", path
