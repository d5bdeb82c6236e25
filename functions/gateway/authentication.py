"""Who may call: bearer tokens, compared in constant time. Without a configured token nobody may."""

import base64
import binascii
import hmac
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from functions.gateway.dependencies import Wired
from functions.gateway.errors import Refused

# Declares the scheme in the OpenAPI document; the check itself is below.
_SCHEME: Final = HTTPBearer(auto_error=False, description="The API token (KAOS_TOKEN).")


async def api_caller(
    wired: Wired, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]
) -> None:
    """Lets callers with the API token pass. Raises Refused 401, or 503 where no token is configured."""
    given = credentials.credentials.encode("latin-1") if credentials else b""
    _compare(given, wired.settings.api_token, "KAOS_API_TOKEN")


async def webhook_caller(request: Request, wired: Wired) -> None:
    """Lets object stores with the webhook token pass: `Bearer TOKEN`, or `Basic` with the token as password.

    Amazon SNS can send no header but the credentials of its URL. Raises Refused 401, or 503.
    """
    given = _presented(request.headers.get("authorization", ""))
    _compare(given, wired.settings.webhook_token, "KAOS_WEBHOOK_TOKEN")


def _presented(header: str) -> bytes:
    scheme, _, rest = header.partition(" ")
    match scheme.lower():
        case "bearer":
            # MinIO's token may be configured with or without its scheme; JuiceFS's copy of it sends both.
            return rest.strip().removeprefix("Bearer ").encode("latin-1")
        case "basic":
            try:
                return base64.b64decode(rest, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return b""
        case _:
            return b""


def _compare(given: bytes, token: SecretStr, variable: str) -> None:
    expected = token.get_secret_value().encode()
    if not expected:
        raise Refused(
            503, "auth.unconfigured", f"The gateway has no token to compare with: start it with {variable} set."
        )
    if not hmac.compare_digest(given, expected):
        raise Refused(
            401, "auth.token", "The token is missing or wrong: send `Authorization: Bearer TOKEN` (see `kaos init`)."
        )
