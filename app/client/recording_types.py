"""What `app.client.recordings` hands out and takes: times in Unix seconds, sound in seconds (docs/recordings-api.md).

Keys that this version does not know are ignored, so that an older client reads a newer server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from app.client.recording_errors import AnswerInvalid

T = TypeVar("T")

OVER = frozenset({"succeeded", "failed", "cancelled"})
"""States in which nothing more happens by itself."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """attempts: of one request, or of following events with nothing heard between; the pause doubles up to `most_s`.

    asked_s: the longest pause that a server with a full queue, or a key's limits, may ask for (Retry-After); who is
    asked for a longer one gives up at once.
    """

    attempts: int = 6
    first_s: float = 0.5
    most_s: float = 10.0
    asked_s: float = 60.0

    def pause_s(self, failures: int) -> float:
        """After so many failures in a row."""
        return min(self.most_s, self.first_s * 2.0 ** (failures - 1))


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """How to transcribe. None and () = the server's choice.

    known_speakers: ids, or ("all",); priority: 0 to 9; webhook: a URL that is told of the states in `events`
    (running, succeeded, failed, cancelled; () = the last three)
    """

    language: str | None = None
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    hotwords: tuple[str, ...] = ()
    known_speakers: tuple[str, ...] = ()
    decoder: str | None = None
    channels_as_speakers: bool | None = None
    priority: int | None = None
    webhook: str | None = None
    events: tuple[str, ...] = ()

    def form(self) -> dict[str, str | list[str]]:
        """As fields of a form, those that are set."""
        form: dict[str, str | list[str]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                form[field.name] = "true" if value else "false"
            elif isinstance(value, tuple):
                form |= {field.name: list(value)} if value else {}
            elif value is not None:
                form[field.name] = str(value)
        return form


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a recording failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RecordingProgress:
    """How far a recording is. stage: waiting, diarize, decode, done; speed: seconds of sound per second."""

    stage: str
    diarized_s: float
    decoded_s: float
    total_s: float | None
    speed: float | None
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording and its job. state: queued, running, succeeded, failed, cancelled; revision 0 = no transcript yet."""

    id: str
    state: str
    file_name: str
    media_type: str
    size_bytes: int | None
    has_audio: bool
    created_at: float
    updated_at: float
    started_at: float | None
    finished_at: float | None
    priority: int
    position: int | None
    cancel_requested: bool
    language: str | None
    warnings: tuple[str, ...]
    failure: Failure | None
    revision: int
    progress: RecordingProgress

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in OVER

    @property
    def etag(self) -> str:
        """What an edit of this revision sends as `If-Match`."""
        return f'"{self.id}-{self.revision}"'


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript in a format. partial: the recording still runs, and this is what there is so far."""

    content: bytes
    media_type: str
    partial: bool


@dataclass(frozen=True, slots=True)
class RecordingEvent:
    """Something that happened. kind: state, progress, segment, revision."""

    id: int
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Revision:
    """One version of a transcript."""

    revision: int
    note: str
    created_at: float


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """A person whose voice is known. recording: where it was learnt, None = from a sample."""

    id: str
    name: str
    created_at: float
    recording: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to a webhook. state: pending, delivered, failed; next_at: the next try, None = there is none."""

    id: str
    event: str
    state: str
    attempts: int
    status: int | None
    error: str
    next_at: float | None
    created_at: float
    updated_at: float


def read(kind: type[T], data: object) -> T:
    """An object of the wire as one of the flat classes above. Raises AnswerInvalid when keys are missing."""
    if not isinstance(data, Mapping):
        raise AnswerInvalid(f"the server's answer is no {kind.__name__}")
    try:
        return kind(**{field.name: data[field.name] for field in fields(kind)})  # type: ignore[arg-type]
    except KeyError as error:
        raise AnswerInvalid(f"the server's answer lacks {error.args[0]!r} of {kind.__name__}") from error


def read_progress(data: object) -> RecordingProgress:
    """Also of an event's data. Raises AnswerInvalid."""
    return read(RecordingProgress, data)


def read_recording(data: object) -> Recording:
    """Raises AnswerInvalid."""
    if not isinstance(data, Mapping) or "failure" not in data:
        raise AnswerInvalid("the server's answer is no recording; is the URL that of a Crosstalk server?")
    nested = {
        "progress": read_progress(data.get("progress")),
        "failure": None if data["failure"] is None else read(Failure, data["failure"]),
        "warnings": tuple(data.get("warnings") or ()),
    }
    return read(Recording, {**data, **nested})
