"""Deepgram's ways to say who you are -> one value. Whether it is right says `ListenService.authorize`.

`Authorization: Token KEY`, `Authorization: Bearer KEY`, or, for browsers, `Sec-WebSocket-Protocol: token, KEY`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SCHEMES = ("token", "bearer")


@dataclass(frozen=True, slots=True)
class Credentials:
    """scheme: `token` (an API key) or `bearer` (a temporary token). The key is kept out of logs."""

    scheme: str
    key: str = field(repr=False)


def credentials_of(headers: Mapping[str, str]) -> tuple[Credentials | None, str | None]:
    """The credentials, and the subprotocol that has to be confirmed, if it was used."""
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in _SCHEMES and key.strip():
        return Credentials(scheme.lower(), key.strip()), None
    asked = [part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")]
    if len(asked) == 2 and asked[0].lower() in _SCHEMES and asked[1]:
        return Credentials(asked[0].lower(), asked[1]), asked[0]
    return None, None
