"""What ends a live session for good on the client's side."""

from __future__ import annotations

from app.errors import CrosstalkError


class LiveFailed(CrosstalkError):
    """The session cannot go on. `code` is the server's own where it gave one, else one of:

    server_unreachable    no server answered for as long as the rules allow
    protocol_error        the server sent what the protocol does not allow
    sound_gone            the server asks for sound that it had said need not be kept
    closed                the client was closed before the session was done
    """

    code = "live_failed"

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code
