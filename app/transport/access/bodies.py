"""How large the body of a request may be that is no upload: it is held in memory whole."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope


def limited(scope: Scope, receive: Receive, most_bytes: int) -> Receive:
    """`receive` that raises HTTPException 413, which FastAPI passes on, once more has come or is announced."""
    declared = Headers(scope=scope).get("content-length", "")
    announced = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0
    came = 0

    async def receive_some() -> Message:
        nonlocal came
        if announced > most_bytes:
            raise _too_large(most_bytes)
        message = await receive()
        came += len(message.get("body", b""))
        if came > most_bytes:
            raise _too_large(most_bytes)
        return message

    return receive_some


def _too_large(most_bytes: int) -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {most_bytes} bytes")
