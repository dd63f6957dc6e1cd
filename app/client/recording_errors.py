"""What a server answers instead of what was asked for -> typed errors with the server's code.

A code of app/errors.py gives that file's class (`except JobNotFound:` works as it does in the server); any other code
gives `ServerError`, which carries it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from app.errors import CrosstalkError


class ServerError(CrosstalkError):
    """The server refused or failed. `code`: the server's; `status`: HTTP's."""

    code = "server_error"

    def __init__(self, message: str, *, code: str, status: int, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code
        self.status = status


class ServerUnreachable(CrosstalkError):
    """No answer came, however often it was tried."""

    code = "server_unreachable"


class AnswerInvalid(CrosstalkError):
    """What came is not what a Crosstalk server answers; the URL may be another program's."""

    code = "answer_invalid"


class WaitTimeout(CrosstalkError):
    """The recording was not over in the time that was given. It goes on."""

    code = "wait_timeout"


def answered_error(status: int, body: bytes) -> CrosstalkError:
    """The error in an answer of status 400 or above."""
    try:
        found = json.loads(body)["error"]
        code, message, param = str(found["code"]), str(found["message"]), found.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServerError(f"the server answered with status {status}", code=f"http_{status}", status=status)
    return error_of(code, message, status=status, param=None if param is None else str(param))


def error_of(code: str, message: str, *, status: int = 0, param: str | None = None) -> CrosstalkError:
    """The error for a code, also that of a recording that failed (status 0)."""
    for kind in _kinds(CrosstalkError):
        if kind.__module__ == CrosstalkError.__module__ and kind.code == code and "code" in vars(kind):
            return kind(message, param=param)
    return ServerError(message, code=code, status=status, param=param)


def _kinds(kind: type[CrosstalkError]) -> Iterator[type[CrosstalkError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)
