"""Reads JSON from strangers: what two readers could understand differently, or what costs too much, is refused."""

import json
import math
import re
from typing import Any, Final, NoReturn

from fastapi import Request

from functions.gateway.errors import Refused

# The longest body that is right: a notification of 1,000 records of 1 KiB (the length of an S3 key).
MAX_BYTES: Final = 2**20
# The deepest one that is right has 7 levels (an SNS message's records down to a metadata value).
MAX_DEPTH: Final = 32
# 2^63 has 19 digits; a sign makes 20.
_MAX_DIGITS: Final = 20
_HALF: Final = re.compile("[\ud800-\udfff]")


async def read(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The request's body. Raises Refused 413 as soon as it exceeds `limit` bytes, whatever length was announced."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refused(413, "json.size", f"The body is larger than the limit of {limit:,} bytes.")
    return bytes(body)


def parse(text: bytes | str) -> Any:
    """The value of a JSON text. Raises Refused 400 with a code `json.…` and the reason."""
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError:
        raise Refused(400, "json.encoding", "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Refused(400, "json.syntax", f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    _inspect(value)
    return value


def _inspect(value: Any) -> None:
    """Bounds the depth, and refuses half characters, which no UTF-8 can carry on. Iterative: it must not overflow."""
    level = [value]
    for _ in range(MAX_DEPTH):
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                following += (*item.keys(), *item.values())
            elif isinstance(item, list):
                following += item
            elif isinstance(item, str) and not item.isascii() and _HALF.search(item):
                raise Refused(400, "json.surrogate", "The body has half of a surrogate pair in a string.")
        if not following:
            return
        level = following
    raise _too_deep()


def _too_deep() -> Refused:
    return Refused(400, "json.depth", f"The body is nested more than {MAX_DEPTH} levels deep.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Refused(400, "json.duplicate", "The body names a key twice in one object.")
    return value


def _constant(name: str) -> NoReturn:
    raise Refused(400, "json.number", f"{name} is not JSON.")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Refused(400, "json.number", "The body has a number that is too large.")
    return value


def _int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise Refused(400, "json.number", "The body has an integer of more than 20 digits.")
    return int(digits)
