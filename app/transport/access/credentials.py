"""Where a request may show who it is from -> one text.

`Authorization: Bearer KEY` (OpenAI), `Authorization: Token KEY` (Deepgram), for browsers' sockets
`Sec-WebSocket-Protocol: token, KEY`, and `?token=TOKEN`. A URL ends up in logs and histories, so in it only
tokens are looked at, which are used up by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

_SCHEMES = ("token", "bearer")
QUERY_NAME = "token"
_TOKEN_START = "ctt_"


@dataclass(frozen=True, slots=True)
class Credentials:
    """scheme: `token` or `bearer`, as shown. The key is kept out of logs."""

    scheme: str
    key: str = field(repr=False)


def credentials_of(headers: Mapping[str, str]) -> tuple[Credentials | None, str | None]:
    """What the headers show, and the subprotocol that has to be confirmed, if it was used."""
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in _SCHEMES and key.strip():
        return Credentials(scheme.lower(), key.strip()), None
    asked = [part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")]
    if len(asked) == 2 and asked[0].lower() in _SCHEMES and asked[1]:
        return Credentials(asked[0].lower(), asked[1]), asked[0]
    return None, None


def take_token(query: bytes) -> tuple[str | None, bytes]:
    """The token in a query string, and the query string without it."""
    if b"token=" not in query:
        return None, query
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    found = [value for name, value in pairs if name == QUERY_NAME]
    rest = urlencode([pair for pair in pairs if pair[0] != QUERY_NAME]).encode()
    return (found[0] if found and found[0].startswith(_TOKEN_START) else None), rest
