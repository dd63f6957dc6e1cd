"""What the routes of recordings read and write, as pydantic models; times in Unix seconds, sound in seconds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.core.times import to_seconds
from app.jobs.types import Delivery, DeliveryState, Job, JobState, KnownSpeaker, Revision
from app.transport.numbers import WHOLE

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_SpeakerId = Annotated[int, Field(ge=0, le=10_000), WHOLE]
_SpeakerKey = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,3})$")]


class FailureBody(BaseModel):
    """Why a recording failed."""

    code: str
    message: str


class ProgressBody(BaseModel):
    """How far a recording is."""

    stage: str
    diarized_s: float
    decoded_s: float
    total_s: float | None
    speed: float | None
    left_s: float | None


class RecordingBody(BaseModel):
    """A recording and its job."""

    id: str
    state: JobState
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
    warnings: list[str]
    failure: FailureBody | None
    revision: int
    progress: ProgressBody


class RecordingPage(BaseModel):
    """One page of the list, newest first."""

    data: list[RecordingBody]
    next_cursor: str | None


class SegmentEdit(BaseModel):
    """Changes to one segment; an empty text takes it out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(max_length=20_000)] | None = None
    speaker: _SpeakerId | None = None


class EditBody(BaseModel):
    """Changes to a transcript. speakers: speaker -> name, empty = none."""

    model_config = ConfigDict(extra="forbid", strict=True)

    speakers: Annotated[
        dict[_SpeakerKey, Annotated[str, Field(max_length=200)]],
        Field(json_schema_extra={"additionalProperties": False}),
    ] = {}
    segments: dict[str, SegmentEdit] = {}
    note: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""


class RevisionBody(BaseModel):
    """One version of a transcript."""

    revision: int
    note: str
    created_at: float


class RevisionList(BaseModel):
    """All versions, oldest first."""

    data: list[RevisionBody]


class DeliveryBody(BaseModel):
    """One message to a webhook. status, error: of the last try; next_at: when it is tried again, null = never."""

    id: str
    event: str
    state: str
    attempts: int
    status: int | None
    error: str
    next_at: float | None
    created_at: float
    updated_at: float


class DeliveryList(BaseModel):
    """The delivery log, oldest first."""

    data: list[DeliveryBody]


class NewSpeaker(BaseModel):
    """Whose voice to learn from which speaker of a finished transcript."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    recording: Annotated[str, Field(max_length=100)]
    speaker: _SpeakerId


class SampledSpeaker(BaseModel):
    """Whose voice the sample in the form is."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class SpeakerBody(BaseModel):
    """A known speaker; the voice is never shown. recording: where it was learnt, null = from a sample."""

    id: str
    name: str
    created_at: float
    recording: str | None


class SpeakerPage(BaseModel):
    """One page of the list, newest first."""

    data: list[SpeakerBody]
    next_cursor: str | None


def recording_body(job: Job, position: int | None = None) -> RecordingBody:
    """A job as the wire shows it."""
    progress, failure = job.progress, job.failure
    return RecordingBody(
        id=job.id,
        state=job.state,
        file_name=job.file_name,
        media_type=job.media_type,
        size_bytes=None if job.blob is None else job.blob.size,
        has_audio=job.blob is not None,
        created_at=job.created_at,
        updated_at=job.updated_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        priority=job.priority,
        position=position,
        cancel_requested=job.cancel_requested,
        language=job.language,
        warnings=list(job.warnings),
        failure=None if failure is None else FailureBody(code=failure.code, message=failure.message),
        revision=job.revision,
        progress=ProgressBody(
            stage=progress.stage,
            diarized_s=to_seconds(progress.diarized),
            decoded_s=to_seconds(progress.decoded),
            total_s=None if progress.total is None else to_seconds(progress.total),
            speed=progress.speed,
            left_s=progress.left_s,
        ),
    )


def revision_body(revision: Revision) -> RevisionBody:
    """A revision without its text."""
    return RevisionBody(revision=revision.number, note=revision.note, created_at=revision.created_at)


def delivery_body(it: Delivery) -> DeliveryBody:
    """A delivery without its address and text, which may hold secrets."""
    return DeliveryBody(
        id=it.id,
        event=it.event,
        state=it.state,
        attempts=it.attempts,
        status=it.status,
        error=it.error,
        next_at=it.next_at if it.state is DeliveryState.PENDING else None,
        created_at=it.created_at,
        updated_at=it.updated_at,
    )


def speaker_body(known: KnownSpeaker) -> SpeakerBody:
    """A known speaker as the wire shows it."""
    return SpeakerBody(id=known.id, name=known.name, created_at=known.created_at, recording=known.source_job)
