"""What a live session is asked for and what it tells: the vocabulary between `app/live/session.py` and transports.

Times are samples at 16 kHz of the whole session, also after a resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.core.types import FloatArray, Segment, SpeakerCount, TranscriptView
from app.live.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class KnownVoice:
    """Somebody enrolled. `voice`: (dim,) float32, L2-normalised, of the engine's own voice model."""

    id: str
    name: str
    voice: FloatArray


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What the user asks for. language: None = detect; partials: whether tentative text is written at all."""

    language: str | None = None
    hotwords: tuple[str, ...] = ()
    speakers: SpeakerCount = field(default_factory=SpeakerCount)
    known: tuple[KnownVoice, ...] = ()
    partials: bool = True


@dataclass(frozen=True, slots=True)
class Partial:
    """The whole tentative tail, replacing the last one; ids are `open-<n>`. Only the newest waits for a slow reader."""

    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Final:
    """Text and times that never change again; its speaker only by a `Revision`. Segments come in order of start."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Revision:
    """What changed of who said what: segment id -> speaker, speaker -> name (empty: the name is taken back)."""

    speakers: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ack:
    """Sound before `samples` is not needed any more by a session that goes on from `snapshot`. Every final and revision
    given before this update is in the snapshot; all later ones come again from it."""

    samples: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Progress:
    """`received` samples have come, the speech before `written` is final or shown as open."""

    received: int
    written: int


@dataclass(frozen=True, slots=True)
class Marked:
    """All that was pushed before the mark has been worked on; finals of what was then complete have been given."""

    id: str


@dataclass(frozen=True, slots=True)
class Flushed:
    """All that was pushed before the flush is final and has been given."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Always the last update. `view` holds the segments given since the last `max_kept` (see `LiveRules`), or since the
    resume: whoever needs all of a long session keeps the finals."""

    view: TranscriptView
    segments: int


Update = Partial | Final | Revision | Ack | Progress | Marked | Flushed | Finished
