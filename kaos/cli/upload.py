"""Puts bundles into the object store, at addresses that the gateway has signed: repeated where the network fails."""

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from kaos.cli import web
from kaos.cli.content import Content
from kaos.cli.wire import Multipart, Upload
from shared.errors import KaosError, Unreachable

_OK: Final = 200
_SERVER_ERROR: Final = 500
# After the first failure, the second, the third; a store that restarts is back within these.
_PAUSES: Final = (0.2, 1.0, 4.0)
# More connections than this gain nothing on one line, and each holds one block.
_PARALLEL: Final = 4
_CODE: Final = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")

Advance = Callable[[int], None]


def put(upload: Upload, content: Content, advance: Advance) -> list[str]:
    """Uploads the content, telling `advance` of bytes sent (negative where they must be sent again).

    Returns the ETags of the parts, in order; none where it went in one piece. Raises KaosError `upload.refused`,
    Unreachable after four attempts, and what reading the content raises.
    """
    if (multipart := upload["multipart"]) is not None:
        return _put_parts(multipart, content, advance)
    assert upload["url"] is not None
    _put(upload["url"], upload["headers"], content, (0, content.size), advance)
    return []


def _put_parts(multipart: Multipart, content: Content, advance: Advance) -> list[str]:
    from concurrent.futures import ThreadPoolExecutor

    lock, stopped = threading.Lock(), threading.Event()

    def advance_in_turn(sent: int) -> None:
        if stopped.is_set():
            raise KaosError("upload.stopped", "Another part of the upload failed.")
        with lock:
            advance(sent)

    step, size = multipart["part_size"], content.size
    spans = [(start, min(step, size - start)) for start in range(0, size, step)]
    with ThreadPoolExecutor(_PARALLEL) as threads:
        pairs = zip(multipart["urls"], spans, strict=True)
        parts = [threads.submit(_put, url, {}, content, span, advance_in_turn) for url, span in pairs]
        try:
            return [part.result() for part in parts]
        except BaseException:
            # Also for Ctrl-C: those under way must not send the rest of their 64 MiB first.
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _put(url: str, headers: dict[str, str], content: Content, span: tuple[int, int], advance: Advance) -> str:
    for pause in (*_PAUSES, None):
        body = _Body(content, *span, advance)
        try:
            return _attempt(url, headers, body)
        except (OSError, http.client.HTTPException) as error:
            body.take_back()
            if pause is None:
                store = web.parse(url)
                raise Unreachable(
                    "upload.unreachable",
                    f"The object store at {store.scheme}://{store.netloc} does not take the upload ({error}): "
                    "see `kaos status`, and deploy again.",
                ) from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _attempt(url: str, headers: dict[str, str], body: "_Body") -> str:
    """One PUT; its ETag. Raises OSError where it is worth repeating."""
    address = web.parse(url)
    connection = web.connect(address)
    try:
        target = f"{address.path}?{address.query}" if address.query else address.path
        length = {"Content-Length": str(body.length)}
        connection.request("PUT", target, body=body, headers={**headers, **length})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status == _OK:
        return response.headers.get("ETag", "")
    match = _CODE.search(answer)
    why = f"{response.status} {match[1].decode() if match else response.reason}"
    if response.status >= _SERVER_ERROR:
        raise OSError(why)
    raise KaosError("upload.refused", f"The object store refused the upload ({why}): deploy again.")


class _Body:
    """A span of the content, which http.client sends piece by piece."""

    def __init__(self, content: Content, start: int, length: int, advance: Advance) -> None:
        self.length = length
        self._pieces, self._sent, self._advance = content.pieces(start, length), 0, advance

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._sent += len(piece)
            self._advance(len(piece))
            yield piece

    def take_back(self) -> None:
        """Tells that what was sent did not arrive."""
        self._advance(-self._sent)
