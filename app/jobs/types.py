"""The vocabulary of jobs: frozen values between the store, the worker and the transport.

    queued ──▶ running ──▶ succeeded
      │  ▲        │ ├────▶ failed ────┐
      │  └────────┘ └────▶ cancelled ─┤ retry
      ├──────────────────────▲        │
      ◀───────────────────────────────┘

Times of a job are Unix seconds on the database's clock; amounts of sound are samples at 16 kHz.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from app.core.types import SpeakerCount
from app.errors import JobStateInvalid

LOWEST_PRIORITY, DEFAULT_PRIORITY, HIGHEST_PRIORITY = 0, 5, 9


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more happens unless somebody asks for a retry."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}),
    # To queued: handed over by a worker that stops, or tried again after a fault.
    JobState.RUNNING: frozenset(set(JobState)),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}
"""The legal moves. Running to running is a take-over by another worker."""


def check_move(job_id: str, old: JobState, new: JobState) -> None:
    """Raises JobStateInvalid for a move that is not legal."""
    if new not in MOVES[old]:
        raise JobStateInvalid(f"recording {job_id} is {old} and cannot become {new}")


ENDS = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
TOLD = (JobState.RUNNING, *ENDS)
"""States that a webhook may be told of."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What the user asks for, already checked (app/options.py).

    known_speakers: ids of known voices to name speakers by; None = all of the tenant's, empty = none
    decoder: None = the server's; webhook: where it is told, None = nowhere; events: the states that are told
    """

    language: str | None = None
    speakers: SpeakerCount = field(default_factory=SpeakerCount)
    known_speakers: tuple[str, ...] | None = ()
    hotwords: tuple[str, ...] = ()
    decoder: str | None = None
    channels_as_speakers: bool = False
    webhook: str | None = None
    events: tuple[JobState, ...] = ENDS

    def to_json(self) -> str:
        """As the table keeps it; the same options give the same text, also as older versions wrote it."""
        raw = asdict(self)
        if self.events == ENDS:
            del raw["events"]
        return json.dumps(raw, sort_keys=True, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> JobOptions:
        """Inverse of `to_json`; options that a newer version wrote and this one does not know are an error."""
        raw: dict[str, Any] = json.loads(text)
        known = raw["known_speakers"]
        raw |= {
            "speakers": SpeakerCount(**raw["speakers"]),
            "known_speakers": None if known is None else tuple(known),
            "hotwords": tuple(raw["hotwords"]),
            "events": tuple(JobState(it) for it in raw.get("events", ENDS)),
        }
        return JobOptions(**raw)


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored file. id: `<sha256>.<nonce>`: its content can be checked, and no two recordings ever share one."""

    id: str
    size: int

    @property
    def sha256(self) -> str:
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class NewJob:
    """A recording to be queued.

    duration: samples, as far as the container tells; None = not known (counts as long)
    idempotency_key: the same key and the same content give the same job
    key_id: the API key whose minutes it costs, '' = nobody's; counted: samples of it to be counted at once; the rest is
    as it is decoded
    """

    blob: Blob
    file_name: str = ""
    media_type: str = ""
    options: JobOptions = field(default_factory=JobOptions)
    priority: int = DEFAULT_PRIORITY
    tenant: str = ""
    duration: int | None = None
    idempotency_key: str | None = None
    key_id: str = ""
    counted: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed. `code` is stable (app/errors.py), `message` is for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is. diarized, decoded: samples of the meeting that passed the stage; total: None = not yet known.

    speed: seconds of sound per second in this run, None before it can be told; left_s: estimate of the rest.
    """

    stage: str = "waiting"
    diarized: int = 0
    decoded: int = 0
    total: int | None = None
    speed: float | None = None
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One recording's job as the store has it.

    blob: None once the sound is deleted (retention); revision: of the transcript, 0 = there is none yet
    attempts: runs that ended without an end (crash, engine fault); fence: counts the claims
    trace: of the request that queued it (`app.observers.Span.trace`)
    key_id: whose minutes it costs, '' = nobody's; counted: samples that were counted so far
    """

    id: str
    tenant: str
    state: JobState
    priority: int
    options: JobOptions
    file_name: str
    media_type: str
    blob: Blob | None
    created_at: float
    updated_at: float
    started_at: float | None
    finished_at: float | None
    progress: JobProgress
    attempts: int
    fence: int
    generation: int
    cancel_requested: bool
    failure: Failure | None
    language: str | None
    warnings: tuple[str, ...]
    revision: int
    trace: str = ""
    key_id: str = ""
    counted: int = 0

    @property
    def etag(self) -> str:
        """For If-Match on edits: changes with every revision of the transcript."""
        return f'"{self.id}-{self.revision}"'


@dataclass(frozen=True, slots=True)
class JobQuery:
    """A page of the list, newest first. tenant: None = all; cursor: from the page before; name: part of a file name."""

    tenant: str | None = None
    states: tuple[JobState, ...] = ()
    name: str = ""
    created_after: float | None = None
    created_before: float | None = None
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class JobPage:
    """cursor: where the next page begins, None = this is the last one."""

    jobs: tuple[Job, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job. id: 1, 2, ... per job; data: JSON values.

    Kinds: `state` {state, code?, message?}, `progress` {stage, diarized_s, decoded_s, total_s, speed, left_s},
    `segment` {id, speaker, start_s, end_s, text}, `revision` {revision}. Of several `progress` events only the newest
    is kept, so ids have gaps.
    """

    id: int
    kind: str
    data: Mapping[str, Any]
    created_at: float


@dataclass(frozen=True, slots=True)
class Revision:
    """One version of a transcript. body: transcript JSON (app/formats/transcript_json.py); note: what was edited."""

    number: int
    body: str
    note: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes to a transcript. names: speaker -> name ('' takes a given name back); texts: segment id -> text ('' takes
    the segment out); speakers: segment id -> speaker."""

    names: Mapping[int, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    speakers: Mapping[str, int] = field(default_factory=dict)


class DeliveryState(StrEnum):
    """Where a webhook's delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to a webhook. body: the exact text to sign and send; attempts: tries so far."""

    id: str
    job_id: str
    url: str
    event: str
    body: str
    state: DeliveryState
    attempts: int
    next_at: float
    status: int | None
    error: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """A person whose voice is known. The voice itself is personal data and not part of this value."""

    id: str
    tenant: str
    name: str
    created_at: float
    source_job: str | None
