"""A file on its way to a server in parts (tus 1.0), taken up where it broke off. Used by `app.client.recordings`."""

from __future__ import annotations

import os
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

import httpx2

from app.client.recording_errors import AnswerInvalid, ServerUnreachable, answered_error
from app.client.recording_types import RetryRules
from app.errors import FileUnreadable

IN_PARTS_FROM_BYTES = 64 * 1024**2
"""Smaller files go in one piece: sent again, they cost little."""
PART_BYTES = 16 * 1024**2
"""Also what a proxy in between must let through."""
PATH = "/v1/uploads"
VERSION = {"Tus-Resumable": "1.0.0"}
_PIECE_BYTES = 256 * 1024
_ASK_AGAIN = frozenset({408, 409, 429, 502, 503, 504})
"""The part was not taken, or not all of it: ask how much has come, and go on there."""


class Ask(Protocol):
    """One request, tried again as the client does; raises what the server answers."""

    def __call__(self, method: str, path: str, **more: Any) -> httpx2.Response: ...  # noqa: ANN401 - httpx2's own options


class PartedUpload:
    """One file, sent once. `send` is told how to send a part without trying again by itself."""

    def __init__(self, ask: Ask, patch: Callable[..., httpx2.Response], rules: RetryRules) -> None:
        self._ask = ask
        self._patch = patch
        self._rules = rules

    def send(self, file: BinaryIO, name: str, on_sent: Callable[[int, int], None] | None) -> str:
        """Send all of an open file; the upload's id. on_sent: (bytes sent, bytes in all), back after a break.

        A server that is away is waited for longer than for one request: `rules.attempts` breaks with nothing sent
        between, and as many questions after each, two minutes by default. Raises FileUnreadable when the file gets
        shorter meanwhile, ServerUnreachable, and what the server answers.
        """
        size = os.fstat(file.fileno()).st_size
        upload_id, at, failures = self._begin(size, name), 0, 0
        while at < size:
            why = self._part(upload_id, file, (at, min(size, at + PART_BYTES)), size, on_sent)
            found = min(size, at + PART_BYTES) if why is None else self._received(upload_id, at)
            failures = 0 if found > at else failures + 1
            if why is not None:
                if failures >= self._rules.attempts:
                    raise ServerUnreachable(f"the upload does not go on: {why}")
                time.sleep(self._rules.pause_s(max(1, failures)))
            at = found
        return upload_id

    def _begin(self, size: int, name: str) -> str:
        known = f"filename {b64encode(name.encode('utf-8', 'replace')).decode()}"
        headers = VERSION | {"Upload-Length": str(size), "Upload-Metadata": known}
        location = self._ask("POST", PATH, headers=headers).headers.get("Location", "")
        upload_id = location.rpartition("/")[2]
        # Anything else could name another path of the server.
        if not re.fullmatch(r"[0-9A-Za-z_-]{1,100}", upload_id):
            raise AnswerInvalid("the server began an upload and did not say where it is")
        return upload_id

    def _part(
        self,
        upload_id: str,
        file: BinaryIO,
        span: tuple[int, int],
        size: int,
        on_sent: Callable[[int, int], None] | None,
    ) -> str | None:
        """Send the bytes [start, end) of the file; None = they were taken, else why not all of them were."""
        start, end = span
        headers = VERSION | {
            "Upload-Offset": str(start),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(end - start),
        }
        file.seek(start)
        try:
            answer = self._patch(f"{PATH}/{upload_id}", content=_pieces(file, end, size, on_sent), headers=headers)
        except httpx2.TransportError as error:
            return str(error) or type(error).__name__
        if answer.is_success:
            return None
        if answer.status_code not in _ASK_AGAIN:
            raise answered_error(answer.status_code, answer.content)
        return answered_error(answer.status_code, answer.content).message

    def _received(self, upload_id: str, known: int) -> int:
        """How much has come; `known`, as before, while the server is away."""
        try:
            answer = self._ask("GET", f"{PATH}/{upload_id}", headers=VERSION)
        except ServerUnreachable:
            return known
        offset = answer.headers.get("Upload-Offset", "")
        if not re.fullmatch(r"[0-9]{1,18}", offset):
            raise AnswerInvalid("the server does not tell how much of the upload has come")
        return int(offset)


def _pieces(file: BinaryIO, end: int, size: int, on_sent: Callable[[int, int], None] | None) -> Iterator[bytes]:
    at = file.tell()
    while at < end:
        data = file.read(min(_PIECE_BYTES, end - at))
        if not data:
            raise FileUnreadable("the file got shorter while it was sent", param="file")
        at += len(data)
        yield data
        if on_sent is not None:
            on_sent(at, size)
