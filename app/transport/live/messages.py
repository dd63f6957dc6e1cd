"""The wire of `/v1/live` as types: what a client may say and what a server says. docs/live-protocol.md is its page.

Times are seconds of the session; `samples` are counted at 16 kHz. Unknown fields of a client's message are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.core.times import SAMPLE_RATE, to_seconds
from app.core.types import Segment
from app.errors import InputError

VERSION = 1
MAX_ID_CHARACTERS = 200
MAX_NAME_CHARACTERS = 200
MAX_ITEMS = 500

Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw", "container"]
Identity = Annotated[str, Field(max_length=MAX_ID_CHARACTERS)]


class MessageInvalid(InputError):
    """A text frame that is no message of the protocol. `param` is the field at fault."""

    code = "message_invalid"


class _Said(BaseModel):
    """A client's message: strict, so that `"version": "1"` and a misspelt field are errors and not guesses."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Audio(_Said):
    """How the sound is sent. Rate (Hz) and channels count for raw encodings alone; a container holds its own."""

    encoding: Encoding
    sample_rate: int = SAMPLE_RATE
    channels: int = 1


class SpeakerBounds(_Said):
    """What is known about the number of speakers."""

    min: int | None = None
    max: int | None = None
    exact: int | None = None


class Resume(_Said):
    """Go on with a session. have_revision: the last `final` or `speakers` event that arrived, 0 = none."""

    token: Annotated[str, Field(max_length=MAX_ID_CHARACTERS)]
    have_revision: Annotated[int, Field(ge=0, lt=1 << 63)] = 0


class Start(_Said):
    """The first message."""

    type: Literal["start"]
    version: Literal[1]
    audio: Audio
    language: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = None
    hotwords: Annotated[tuple[str, ...], Field(max_length=MAX_ITEMS, strict=False)] = ()
    speakers: SpeakerBounds = SpeakerBounds()
    known_speakers: Annotated[tuple[Identity, ...], Field(max_length=MAX_ITEMS, strict=False)] = ()
    partials: bool = True
    resume: Resume | None = None


class Flush(_Said):
    """Write everything said so far."""

    type: Literal["flush"]
    id: Identity | None = None


class Mark(_Said):
    """Say when everything before it has been written."""

    type: Literal["mark"]
    id: Identity


class Rename(_Said):
    """Name a speaker; an empty name takes the name back."""

    type: Literal["rename"]
    speaker: Annotated[int, Field(ge=0, lt=1 << 31)]
    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]


class Ping(_Said):
    """Answer at once."""

    type: Literal["ping"]
    id: Identity | None = None


class Stop(_Said):
    """The end of the sound."""

    type: Literal["stop"]


ClientMessage = Start | Flush | Mark | Rename | Ping | Stop
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def parse_message(text: str) -> ClientMessage:
    """One text frame. Raises MessageInvalid."""
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # The first part of a place is the tag of the union.
        place = ".".join(str(part) for part in first["loc"][1:])
        raise MessageInvalid(f"{place or 'message'}: {first['msg']}", param=place or None) from error


class WireWord(BaseModel):
    """A word; times in seconds."""

    text: str
    start: float
    end: float
    confidence: float


class WireSegment(BaseModel):
    """A piece of one speaker's speech; times in seconds. overlaps: it overlaps an earlier final of somebody else
    (in a partial: or another of its segments)."""

    id: str
    speaker: int
    start: float
    end: float
    text: str
    words: tuple[WireWord, ...]
    flags: tuple[str, ...]
    overlaps: bool


def wire_segment(segment: Segment, *, overlaps: bool) -> WireSegment:
    """A segment as the wire shows it."""
    return WireSegment(
        id=segment.id,
        speaker=segment.speaker,
        start=to_seconds(segment.start),
        end=to_seconds(segment.end),
        text=segment.text,
        words=tuple(
            WireWord(text=it.text, start=to_seconds(it.start), end=to_seconds(it.end), confidence=it.confidence)
            for it in segment.words
        ),
        flags=tuple(sorted(str(flag) for flag in segment.flags)),
        overlaps=overlaps,
    )


class ServerEvent(BaseModel):
    """What every event has. `revision` never falls."""

    model_config = ConfigDict(frozen=True)

    revision: int

    def text(self) -> str:
        """The frame."""
        return self.model_dump_json()


class Limits(BaseModel):
    """What a connection may do."""

    max_message_bytes: int
    max_ahead_s: float
    idle_timeout_s: float
    max_duration_s: float


class Ready(ServerEvent):
    """The session stands. The sound goes on at `from_samples`."""

    type: Literal["ready"] = "ready"
    version: int = VERSION
    session: str
    token: str
    share: str
    resumed: bool
    from_samples: int
    sample_rate: int = SAMPLE_RATE
    limits: Limits


class ViewerReady(ServerEvent):
    """A viewer follows the session."""

    type: Literal["ready"] = "ready"
    version: int = VERSION
    session: str
    sample_rate: int = SAMPLE_RATE


class Snapshot(ServerEvent):
    """To viewers: the whole transcript so far; replaces everything that they have."""

    type: Literal["snapshot"] = "snapshot"
    segments: tuple[WireSegment, ...]
    names: dict[int, str]


class Partial(ServerEvent):
    """The whole tentative tail; replaces the last one."""

    type: Literal["partial"] = "partial"
    segments: tuple[WireSegment, ...]


class Final(ServerEvent):
    """Text and times never change again."""

    type: Literal["final"] = "final"
    segment: WireSegment


class Speakers(ServerEvent):
    """Who said what, and how they are called: only what changed. An empty name: the speaker has none any more."""

    type: Literal["speakers"] = "speakers"
    segments: dict[str, int]
    names: dict[int, str]


class Ack(ServerEvent):
    """Sound before `samples` need not be kept for a resume."""

    type: Literal["ack"] = "ack"
    samples: int


class Lag(ServerEvent):
    """How far the captions are behind the sound."""

    type: Literal["lag"] = "lag"
    seconds: float
    state: Literal["behind", "ok"]


class SlowDown(ServerEvent):
    """More sound was sent than may wait."""

    type: Literal["slow_down"] = "slow_down"
    ahead_s: float
    limit_s: float


class Marked(ServerEvent):
    """The echo of a mark."""

    type: Literal["mark"] = "mark"
    id: str


class Flushed(ServerEvent):
    """The answer to a flush."""

    type: Literal["flushed"] = "flushed"
    id: str | None


class Pong(ServerEvent):
    """The answer to a ping."""

    type: Literal["pong"] = "pong"
    id: str | None


class Skipped(ServerEvent):
    """Sound that could not be used."""

    type: Literal["skipped"] = "skipped"
    from_s: float
    to_s: float
    reason: str


class Heartbeat(ServerEvent):
    """Nothing else was to be said."""

    type: Literal["heartbeat"] = "heartbeat"
    received_s: float
    written_s: float


class GoAway(ServerEvent):
    """Go on elsewhere with the token."""

    type: Literal["goaway"] = "goaway"
    reason: Literal["drain", "max_duration"]
    within_s: float


class Problem(ServerEvent):
    """Something went wrong; a fatal one is followed by a close. retry_after_s: when it may go better."""

    type: Literal["error"] = "error"
    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None
    fatal: bool


class Done(ServerEvent):
    """Everything is written."""

    type: Literal["done"] = "done"
    duration_s: float
    segments: int
    warnings: tuple[str, ...]


_STORED: TypeAdapter[Final | Speakers] = TypeAdapter(Annotated[Final | Speakers, Field(discriminator="type")])


def parse_stored(text: str) -> Final | Speakers:
    """An event that this server has written."""
    return _STORED.validate_json(text)


def parse_done(text: str) -> Done:
    """The `done` event of a session that is over."""
    return Done.model_validate_json(text)
