"""Bytes and lines under `app.client.recordings`: an upload that tells how far it is, server-sent events, path parts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO
from urllib.parse import quote

from app.client.recording_errors import AnswerInvalid
from app.client.recording_types import RecordingEvent


class Upload:
    """A file that is read once from its start, in pieces, and tells after each piece how far it is."""

    def __init__(self, file: BinaryIO, on_sent: Callable[[int, int], None] | None) -> None:
        self._file = file
        self._on_sent = on_sent
        self._size = os.fstat(file.fileno()).st_size

    def fileno(self) -> int:
        """For the length of the body."""
        return self._file.fileno()

    def read(self, size: int = -1) -> bytes:
        """The next piece."""
        data = self._file.read(size)
        if self._on_sent is not None:
            self._on_sent(self._file.tell(), self._size)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """To begin again."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Bytes read."""
        return self._file.tell()


def parse_events(lines: Iterable[str]) -> Iterator[RecordingEvent | None]:
    """Lines -> events (WHATWG HTML, "Server-sent events"); None for a comment, which is a sign of life.

    Raises AnswerInvalid for an event that is not as docs/recordings-api.md says.
    """
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            if "data" in fields:
                yield _event(fields)
            fields = {}


def quoted(part: str) -> str:
    """One part of a path, whatever is in it."""
    return quote(part, safe="").replace(".", "%2E")


def _event(fields: dict[str, str]) -> RecordingEvent:
    try:
        data = json.loads(fields["data"])
        number = int(fields["id"])
    except (ValueError, KeyError) as error:
        raise AnswerInvalid("the server sent an event that is none of a recording") from error
    if not isinstance(data, dict):
        raise AnswerInvalid("the server sent an event without an object")
    return RecordingEvent(number, fields.get("event", "message"), data)
