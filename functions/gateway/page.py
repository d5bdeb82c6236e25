"""GET / and /docs: the web page and the API's description; static files, which ask the API for what they show.

Starlette's StaticFiles compresses nothing, and knows no addresses that name their content.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response

from shared.errors import NotFound

_MEDIA: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# No script, style or request but to here, and no text that becomes markup: what a run prints stays text even where
# the page were wrong about it.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
# An entry names the digest of all files in its addresses. So it is asked for each time, and answered by 304; the rest
# never changes, and modules of two versions never meet.
_CHECKED: Final = "no-cache"
_KEPT: Final = "public, max-age=31536000, immutable"
# By their addresses. FastAPI's own /docs would run scripts of another site beside the user's token.
_ENTRIES: Final = {"/": "index.html", "/docs": "docs.html"}
_FOLDER: Final = b'"page/'
# Half of SHA-256 tells versions of a page apart.
_DIGEST_DIGITS: Final = 32

Accepted = Annotated[str, Header(alias="accept-encoding")]
Known = Annotated[str, Header(alias="if-none-match")]


@dataclass(frozen=True)
class File:
    """A file of the page, as it is and compressed; `etag` without its quotes."""

    content: bytes
    packed: bytes
    media: str
    etag: str


def router() -> APIRouter:
    """The page's routes: no token, since there are no secrets in them, and not part of the API's description."""
    contents = read()
    digest = _digest(b"".join(contents[name] for name in sorted(contents)))
    folder = _FOLDER + digest.encode() + b"/"
    entries = {path: _file(name, contents.pop(name).replace(_FOLDER, folder)) for path, name in _ENTRIES.items()}
    assets = {name: _file(name, content) for name, content in contents.items()}

    async def asset(version: str, name: str, accepted: Accepted = "", known: Known = "") -> Response:
        if version != digest or name not in assets:
            raise NotFound("page.outdated", "The page has no such file (any more): load it again.")
        return _answer(assets[name], _KEPT, accepted, known)

    routes = APIRouter(include_in_schema=False)
    add: Any = routes.add_api_route
    for path, file in entries.items():
        add(path, _entry(file), methods=["GET", "HEAD"])
    add("/page/{version}/{name}", asset, methods=["GET", "HEAD"])
    return routes


def _entry(file: File) -> Callable[..., Awaitable[Response]]:
    async def entry(accepted: Accepted = "", known: Known = "") -> Response:
        return _answer(file, _CHECKED, accepted, known)

    return entry


def read() -> dict[str, bytes]:
    """The files of the page, by name."""
    found = (each for each in files("functions.gateway").joinpath("web").iterdir() if each.is_file())
    return {each.name: each.read_bytes() for each in found if _suffix(each.name) in _MEDIA}


def _file(name: str, content: bytes) -> File:
    # Without a time in it, so that the same content is the same on every machine.
    return File(content, gzip.compress(content, mtime=0), _MEDIA[_suffix(name)], _digest(content))


def _answer(file: File, caching: str, accepted: str, known: str) -> Response:
    """The file, or 304 where the caller has it."""
    is_packed = "gzip" in accepted.lower()
    etag = f'"{file.etag}{"-gzip" if is_packed else ""}"'
    headers = {**_HEADERS, "ETag": etag, "Cache-Control": caching}
    if etag in {each.strip().removeprefix("W/") for each in known.split(",")}:
        return Response(status_code=304, headers=headers)
    if is_packed:
        headers["Content-Encoding"] = "gzip"
    return Response(file.packed if is_packed else file.content, media_type=file.media, headers=headers)


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]
