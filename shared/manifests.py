"""A manifest of remote data: a line `{"url": …, "path": …}` for each file, where it wants also `"sha256"` and `"size"`.

Light to import: the command line and the program that fetches use it too.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import Reject
from shared.paths import Claims, parts_of
from shared.urls import parse, redacted

LINES_MAX: Final = 1_000_000
# A presigned address has about 1,500 characters: that many for each of a million lines.
_BYTES_MAX: Final = 2 << 30
# A URL has 4,096 characters at most, a path far fewer, and any of them may be an escape of six.
_LINE_MAX_BYTES: Final = 32 * 1024
_BOM: Final = b"\xef\xbb\xbf"  # Windows' editors begin a file with it
_REQUIRED: Final = ("url", "path")
_KEYS: Final = frozenset({"url", "path", "sha256", "size"})
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")
_SIZE_MAX: Final = 1 << 50
# 128 bits: no two lines are taken for one.
_DIGEST_BYTES: Final = 16
# A pipeline's name has 51 characters at most: so many of the manifest's name tell a person which one it is, and the
# digest of the whole name is what tells it apart.
_SLUG_LENGTH: Final = 24
_SLUG_DIGITS: Final = 7
_NOT_IN_PIPELINES: Final = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class Line:
    """One remote file: where it is, where it goes in the data, and what it must be, where the manifest says so.

    `sha256` is lower-case hex or empty, `size` in bytes; both are of the bytes as they are sent.
    """

    url: str
    path: str
    sha256: str = ""
    size: int | None = None

    def canonical(self) -> bytes:
        """The one way to write this line."""
        told: dict[str, object] = {"path": self.path, "url": self.url}
        if self.sha256:
            told["sha256"] = self.sha256
        if self.size is not None:
            told["size"] = self.size
        return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read(path: Path) -> Iterator[tuple[int, Line]]:
    """The lines of the manifest in this file, with their numbers, from 1. Empty ones are left out.

    Raises Reject `manifest.malformed`, `.key-missing`, `.key-unknown`, `.url`, `.path`, `.too-large`, `.too-many` or
    `.empty`, naming the line.
    """
    check_size(path.stat().st_size)
    claims, count = Claims(), 0
    with path.open("rb") as file:
        number = 0
        while text := file.readline(_LINE_MAX_BYTES + 1):
            number += 1
            text = text.removeprefix(_BOM if number == 1 else b"").strip()
            if not text:
                continue
            count += 1
            if count > LINES_MAX:
                raise Reject("manifest.too-many", f"The manifest has more than {LINES_MAX:,} lines: divide it.")
            yield number, _claimed(number, text, claims)
    if not count:
        raise Reject(
            "manifest.empty", 'The manifest has no lines: write {"url": "https://…", "path": "…"}, one a file.'
        )


def check_size(size: int) -> None:
    """Refuses a manifest of more bytes than any has. Raises Reject `manifest.too-large`."""
    if size > _BYTES_MAX:
        raise Reject("manifest.too-large", f"The manifest has more than {_BYTES_MAX:,} bytes: divide it.")


def parse_line(text: bytes) -> Line:
    """Reads one line. Raises Reject `manifest.…`."""
    return _parse(0, text)


def bad_line(number: int, code: str, why: str) -> Reject:
    """What is wrong with a line, as an error for the user."""
    line = f"Line {number:,}" if number else "A line"
    return Reject(f"manifest.{code}", f"{line} of the manifest {why}.")


def digest_of(canonical: bytes) -> bytes:
    """What tells a line apart."""
    return hashlib.blake2b(canonical, digest_size=_DIGEST_BYTES).digest()


def tree_of(digests: Iterable[bytes]) -> str:
    """The manifest's own hash in hex, from its lines' digests: it does not depend on their order."""
    whole = hashlib.sha256()
    for digest in sorted(digests):
        whole.update(digest)
    return whole.hexdigest()


def fetch_pipeline(name: str) -> str:
    """The pipeline of all versions of the manifest of this name: each fetches what the one before it did not have.

    The branch of repo `manifest` that it reads has the same name.
    """
    digits = hashlib.sha256(name.encode()).hexdigest()[:_SLUG_DIGITS]
    return f"fetch-{_NOT_IN_PIPELINES.sub('-', name)[:_SLUG_LENGTH]}-{digits}"


def _claimed(number: int, text: bytes, claims: Claims) -> Line:
    line = _parse(number, text)
    try:
        claims.add(tuple(line.path.split("/")))
    except ValueError as error:
        raise bad_line(number, "path", f"has the path {line.path[:200]!r}, which {error}") from None
    return line


def _parse(number: int, text: bytes) -> Line:
    told = _read_object(number, text)
    for key in _REQUIRED:
        if key not in told:
            raise bad_line(number, "key-missing", f"lacks {key!r}")
    if unknown := sorted(told.keys() - _KEYS):
        raise bad_line(number, "key-unknown", f"has {unknown[0][:60]!r}, which means nothing here")
    url, path, sha256, size = told["url"], told["path"], told.get("sha256", ""), told.get("size")
    if not isinstance(url, str) or not isinstance(path, str) or not isinstance(sha256, str):
        raise bad_line(number, "malformed", "has something else than text as its url, path or sha256")
    if "size" in told and (type(size) is not int or not 0 <= size < _SIZE_MAX):
        raise bad_line(number, "malformed", "has a size that is not a number of bytes")
    if "sha256" in told and not _SHA256.fullmatch(sha256):
        raise bad_line(number, "malformed", "has a sha256 that is not 64 hexadecimal digits")
    try:
        parse(url)
    except ValueError as error:
        raise bad_line(number, "url", f"names {redacted(url)!r}, which {error}") from None
    return Line(url, _path(number, path), sha256.lower(), size)


def _read_object(number: int, text: bytes) -> dict[str, Any]:
    if len(text) > _LINE_MAX_BYTES:
        raise bad_line(number, "malformed", f"has more than {_LINE_MAX_BYTES:,} bytes")
    try:
        told = json.loads(text.decode(), object_pairs_hook=_unique)
    except UnicodeDecodeError:
        raise bad_line(number, "malformed", "is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise bad_line(number, "malformed", f"is not valid JSON ({error})") from None
    if not isinstance(told, dict):
        raise bad_line(number, "malformed", 'is not a JSON object: write {"url": "https://…", "path": "…"}')
    return told


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key is there twice")
    return told


def _path(number: int, text: str) -> str:
    try:
        parts = parts_of(text)
    except ValueError as error:
        raise bad_line(number, "path", f"has the path {text[:200]!r}, which {error}") from None
    if not parts or text.endswith(("/", "/.")):
        raise bad_line(number, "path", f"has the path {text[:200]!r}, which names no file")
    return "/".join(parts)
