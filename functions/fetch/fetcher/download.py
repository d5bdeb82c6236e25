"""Downloads one file: goes on where it broke off, believes no announced length, and shows nothing but the whole."""

import hashlib
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from functions.fetch.fetcher.progress import Progress
from functions.fetch.fetcher.s3 import presigned
from functions.fetch.fetcher.settings import Settings
from functions.fetch.fetcher.web import Response, Trouble, Web
from shared.errors import Reject
from shared.manifests import Line
from shared.urls import S3Url, parse, redacted

_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
# Answers that may be others in a moment: timeout, too early, too many requests, and the server's own failures.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
# Failures in a row, none of which brought the file further: 15 s of waiting in between (0.5, 1, … 8) outlast a
# restarted server.
_ATTEMPTS: Final = 6
_WAIT_MAX_SECONDS: Final = 30.0
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Tools:
    """What all downloads of a program share."""

    web: Web
    settings: Settings
    progress: Progress
    stop: threading.Event


class Stopped(Exception):
    """Another file failed: this one is of no use any more."""


@dataclass
class _Draft:
    """A file as far as it has come, and what tells whether the server still has the same one."""

    file: IO[bytes]
    progress: Progress
    size: int = 0
    furthest: int = 0
    validator: str = ""
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def append(self, chunk: bytes, *, hashed: bool) -> int:
        """Returns how many bytes all files have now."""
        self.file.write(chunk)
        self.size += len(chunk)
        if hashed:
            self.digest.update(chunk)
        return self.progress.add(len(chunk))

    def restart(self) -> None:
        """Gives up what there is."""
        self.progress.add(-self.size)
        self.file.seek(0)
        self.file.truncate()
        self.size, self.validator, self.digest = 0, "", hashlib.sha256()


def download(line: Line, draft: Path, target: Path, tools: Tools) -> None:
    """Brings the file of `line` to `target`, by way of `draft` on the same file system.

    Raises Reject `fetch.refused`, `.unreachable`, `.too-large`, `.size`, `.checksum`, and those of web and s3;
    Stopped; OSError where the disk fails.
    """
    with draft.open("wb") as file:
        _complete(line, _Draft(file, tools.progress), tools)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft.rename(target)
    tools.progress.done()


def _complete(line: Line, draft: _Draft, tools: Tools) -> None:
    """Attempts it until it is whole, or too many attempts in a row came no further than those before."""
    failures = 0
    while True:
        try:
            _attempt(line, draft, tools)
        except Trouble as trouble:
            failures = 1 if draft.size > draft.furthest else failures + 1
            draft.furthest = max(draft.furthest, draft.size)
            if tools.stop.is_set():
                raise Stopped from None
            if failures >= _ATTEMPTS:
                raise _failed(line, "unreachable", f"{failures} attempts failed, the last because {trouble}") from None
            if not (draft.validator or line.sha256):
                draft.restart()  # nothing would tell whether the rest belongs to the same file
            tools.progress.retry(str(trouble))
            delay = tools.settings.backoff * 2 ** (failures - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            if tools.stop.wait(min(max(delay, trouble.after), _WAIT_MAX_SECONDS)):
                raise Stopped from None
            continue
        break
    if line.size not in {None, draft.size}:
        raise _failed(line, "size", f"it has {draft.size:,} bytes, and the manifest says {line.size:,}")
    if line.sha256 and draft.digest.hexdigest() != line.sha256:
        raise _failed(line, "checksum", f"its SHA-256 is {draft.digest.hexdigest()}, and not what the manifest says")


def _attempt(line: Line, draft: _Draft, tools: Tools) -> None:
    """Asks for what is missing, and appends it."""
    with _asked(line, draft, tools) as response:
        _take(response, line, draft)
        announced = draft.size + (response.remaining or 0)
        _check_size(line, announced, tools.settings)
        for chunk in response.chunks():
            if tools.stop.is_set():
                raise Stopped
            _check_size(line, draft.size + len(chunk), tools.settings)
            if draft.append(chunk, hashed=bool(line.sha256)) > tools.settings.max_total_bytes:
                raise _failed(
                    line, "too-large", f"with it the files have more than {tools.settings.max_total_bytes:,} bytes"
                )


@contextmanager
def _asked(line: Line, draft: _Draft, tools: Tools) -> Iterator[Response]:
    url = parse(line.url)
    trusted = isinstance(url, S3Url)
    headers = {}
    if draft.size:
        headers["Range"] = f"bytes={draft.size}-"
        if draft.validator:
            headers["If-Range"] = draft.validator
    address = presigned(url, tools.settings) if isinstance(url, S3Url) else url
    with tools.web.get(address, headers, trusted=trusted) as response:
        yield response


def _take(response: Response, line: Line, draft: _Draft) -> None:
    """Looks at an answer's head; after this, its body continues the draft."""
    if response.status == _OK:
        draft.restart()
        draft.validator = _validator(response)
        return
    if draft.size and response.status in {_PARTIAL, _NOT_SATISFIABLE}:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status == _PARTIAL and match and int(match[1]) == draft.size:
            return
        draft.restart()
        raise Trouble("the server did not give the rest that it was asked for")
    if response.status in _PASSING:
        raise Trouble(f"the server answered {response.status} {response.reason[:60]}", _seconds(response))
    hint = "" if response.status < _PARTIAL else ": check the address, and whether it is still valid"
    raise _failed(line, "refused", f"the server answered {response.status} {response.reason[:60]}{hint}")


def _validator(response: Response) -> str:
    """What If-Range may be given: a strong ETag, else a date; empty where the server gives no ranges."""
    if response.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return ""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _check_size(line: Line, size: int, settings: Settings) -> None:
    if line.size is not None and size > line.size:
        raise _failed(line, "size", f"it has {size:,} bytes or more, and the manifest says {line.size:,}")
    if size > settings.max_file_bytes:
        raise _failed(line, "too-large", f"it has more than {settings.max_file_bytes:,} bytes, the most for one file")


def _seconds(response: Response) -> float:
    """What Retry-After asks for; a date is too far off to wait for, or past."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _failed(line: Line, code: str, why: str) -> Reject:
    return Reject(f"fetch.{code}", f"{redacted(line.url)} (for {line.path}) could not be fetched: {why}.")
