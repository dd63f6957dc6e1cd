"""What a server says, as typed values: JSON text in, one event out. Unknown fields are ignored, as the protocol asks.

`Lost` is the client's own: the connection is gone and it tries again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.client.errors import LiveFailed


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word; times in seconds of the session."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of one speaker's speech; times in seconds of the session."""

    id: str
    speaker: int
    start: float
    end: float
    text: str
    words: tuple[SpokenWord, ...]
    flags: tuple[str, ...]
    overlaps: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """The session stands, or stands again."""

    revision: int
    session: str
    token: str
    share: str
    resumed: bool
    from_samples: int
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The whole tentative tail; replaces the last one."""

    revision: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Final:
    """A segment whose text and times never change again. Each is given exactly once."""

    revision: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class Speakers:
    """Labels and names that changed: segment id -> speaker, speaker -> name."""

    revision: int
    segments: Mapping[str, int]
    names: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Ack:
    """Sound before this sample of the session (16 kHz) need not be kept any more."""

    revision: int
    samples: int


@dataclass(frozen=True, slots=True)
class Lag:
    """Captions are so many seconds behind the sound; state is `behind` or `ok`."""

    revision: int
    seconds: float
    state: str


@dataclass(frozen=True, slots=True)
class SlowDown:
    """More sound was sent than may wait; sending pauses by itself."""

    revision: int
    ahead_s: float
    limit_s: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything sent before this mark has been written."""

    revision: int
    id: str


@dataclass(frozen=True, slots=True)
class Flushed:
    """Everything said before the flush is final."""

    revision: int
    id: str | None


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""

    revision: int
    id: str | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Sound from `from_s` to `to_s` could not be used."""

    revision: int
    from_s: float
    to_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing else was to be said."""

    revision: int
    received_s: float
    written_s: float


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server will close in `within_s`; with reason `drain` the client moves on by itself."""

    revision: int
    reason: str
    within_s: float


@dataclass(frozen=True, slots=True)
class Problem:
    """The server's `error`; a fatal one ends the session."""

    revision: int
    code: str
    message: str
    param: str | None
    fatal: bool
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Everything is written."""

    revision: int
    duration_s: float
    segments: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection to `url` is gone, for `reason`; the client connects again by itself."""

    url: str
    reason: str


ServerEvent = (
    Ready
    | Partial
    | Final
    | Speakers
    | Ack
    | Lag
    | SlowDown
    | Mark
    | Flushed
    | Pong
    | Skipped
    | Heartbeat
    | GoAway
    | Problem
    | Done
)
Event = ServerEvent | Lost

Json = Mapping[str, Any]


def parse_event(text: str) -> ServerEvent | None:
    """One server message; None for a type that this client does not know (a later version of the protocol).

    Raises:
        LiveFailed: (protocol_error) no JSON object, or a field of a known type is missing or wrong.
    """
    try:
        message = json.loads(text)
        make = _MAKERS.get(message["type"])
        return None if make is None else make(int(message["revision"]), message)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LiveFailed("protocol_error", f"the server sent {text[:200]!r}: {error!r}") from error


def _segment(value: Json) -> Segment:
    return Segment(
        id=str(value["id"]),
        speaker=int(value["speaker"]),
        start=float(value["start"]),
        end=float(value["end"]),
        text=str(value["text"]),
        words=tuple(
            SpokenWord(str(word["text"]), float(word["start"]), float(word["end"]), float(word["confidence"]))
            for word in value["words"]
        ),
        flags=tuple(map(str, value.get("flags", ()))),
        overlaps=bool(value.get("overlaps", False)),
    )


def _optional(value: Json, name: str) -> str | None:
    given = value.get(name)
    return None if given is None else str(given)


def _ready(revision: int, value: Json) -> Ready:
    return Ready(
        revision=revision,
        session=str(value["session"]),
        token=str(value["token"]),
        share=str(value["share"]),
        resumed=bool(value["resumed"]),
        from_samples=int(value["from_samples"]),
        max_message_bytes=int(value["limits"]["max_message_bytes"]),
    )


def _speakers(revision: int, value: Json) -> Speakers:
    return Speakers(
        revision,
        {str(segment): int(speaker) for segment, speaker in value["segments"].items()},
        {int(speaker): str(name) for speaker, name in value["names"].items()},
    )


_MAKERS: Mapping[str, Callable[[int, Json], ServerEvent]] = {
    "ready": _ready,
    "partial": lambda revision, value: Partial(revision, tuple(map(_segment, value["segments"]))),
    "final": lambda revision, value: Final(revision, _segment(value["segment"])),
    "speakers": _speakers,
    "ack": lambda revision, value: Ack(revision, int(value["samples"])),
    "lag": lambda revision, value: Lag(revision, float(value["seconds"]), str(value["state"])),
    "slow_down": lambda revision, value: SlowDown(revision, float(value["ahead_s"]), float(value["limit_s"])),
    "mark": lambda revision, value: Mark(revision, str(value["id"])),
    "flushed": lambda revision, value: Flushed(revision, _optional(value, "id")),
    "pong": lambda revision, value: Pong(revision, _optional(value, "id")),
    "skipped": lambda revision, value: Skipped(
        revision, float(value["from_s"]), float(value["to_s"]), str(value["reason"])
    ),
    "heartbeat": lambda revision, value: Heartbeat(revision, float(value["received_s"]), float(value["written_s"])),
    "goaway": lambda revision, value: GoAway(revision, str(value["reason"]), float(value["within_s"])),
    "error": lambda revision, value: Problem(
        revision,
        str(value["code"]),
        str(value["message"]),
        _optional(value, "param"),
        bool(value["fatal"]),
        None if value.get("retry_after_s") is None else float(value["retry_after_s"]),
    ),
    "done": lambda revision, value: Done(
        revision, float(value["duration_s"]), int(value["segments"]), tuple(map(str, value["warnings"]))
    ),
}
