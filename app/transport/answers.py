"""What each route answers beside its model, in one table: its errors by code, its headers, and bodies that are no JSON.

tests/transport/test_openapi.py fails for a route of the app that has no entry, and for an entry without a route.
app/transport/openapi.py writes it into the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from app.errors import (
    AudioEmpty,
    AudioFormatUnsupported,
    AudioTooLong,
    AudioTruncated,
    AudioUnreadable,
    BlobMissing,
    CrosstalkError,
    IdempotencyConflict,
    JobNotFound,
    JobStateInvalid,
    KeyNotFound,
    LimitReached,
    NoAudioTrack,
    OptionInvalid,
    OutputError,
    Overloaded,
    QueueFull,
    QueueShareFull,
    RevisionConflict,
    SampleSilent,
    SampleTooShort,
    SeveralVoices,
    ShareNotFound,
    SpeakerNotFound,
    UploadConflict,
    UploadNotFound,
    WebhookRefused,
)
from app.formats import FORMATS, docx
from app.transport.problems import STATUS_OF

Said = tuple[int, str]
"""A status and a code."""

_TEXT = {"type": "string"}
_BYTES = {"type": "string", "format": "binary"}
_SOUND = (AudioUnreadable, AudioTruncated, NoAudioTrack, AudioEmpty, AudioFormatUnsupported, AudioTooLong)


@dataclass(frozen=True, slots=True)
class Answers:
    """errors: what is special to the route; headers: of the good answer; content: media type -> schema of it, where
    the route has no model; more: further good answers, (status, description)."""

    errors: tuple[Said, ...] = ()
    headers: tuple[str, ...] = ()
    content: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    more: tuple[tuple[int, str], ...] = ()


def _said(*errors: type[CrosstalkError] | Said) -> tuple[Said, ...]:
    found = []
    for it in errors:
        if isinstance(it, tuple):
            found.append(it)
        else:
            found.append((int(next(STATUS_OF[kind] for kind in it.__mro__ if kind in STATUS_OF)), it.code))
    return tuple(found)


def _transcripts() -> Mapping[str, Mapping[str, Any]]:
    """Every format by its media type, and what there is of a recording that runs."""
    kinds = ("Transcript", "PartialTranscript", "TranscriptionVerboseJson", "TranscriptionDiarizedJson")
    shapes: list[Mapping[str, Any]] = [{"$ref": f"#/components/schemas/{kind}"} for kind in kinds]
    shapes.append({"type": "array", "items": {"type": "object"}, "description": "SegLST"})
    content: dict[str, Mapping[str, Any]] = {it.media_type.partition(";")[0]: _TEXT for it in FORMATS.values()}
    return content | {"application/json": {"anyOf": shapes}}


_OLD_TUS = (412, "tus_version_unsupported")
_MALFORMED = (400, "body_malformed")
_TOO_LARGE = (413, "upload_too_large")
_STALLED = (408, "upload_stalled")
_MEDIA = (415, "unsupported_media_type")
_NO_SESSION = (404, "session_unknown")
_OPEN = (403, "access_open")
EVENT = {
    "type": "object",
    "description": "One event of the stream.",
    "required": ["data"],
    "properties": {"id": _TEXT, "event": _TEXT, "data": {"type": "string", "contentMediaType": "application/json"}},
}
_EVENTS = {"text/event-stream": EVENT}
_TRANSCRIPT = {"application/json": {"$ref": "#/components/schemas/Transcript"}}
_UPLOAD = ("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Expires")
_JOB = _said(JobNotFound)
_KEY = _said(KeyNotFound, _OPEN)
_QUEUE = _said(QueueFull, QueueShareFull)
_GONE = _said(UploadNotFound, _OLD_TUS)

ANSWERS: Mapping[tuple[str, str], Answers] = {
    ("POST", "/v1/audio/transcriptions"): Answers(_said(*_SOUND)),
    ("GET", "/v1/models"): Answers(),
    ("GET", "/v1/models/{name}"): Answers(((404, "model_not_found"),)),
    ("POST", "/v1/recordings"): Answers(
        _said(
            *(_MALFORMED, OptionInvalid, WebhookRefused, *_SOUND, SpeakerNotFound, UploadNotFound, _STALLED),
            *(
                IdempotencyConflict,
                UploadConflict,
                BlobMissing,
                _TOO_LARGE,
                (413, "audio_too_long"),
                _MEDIA,
                OutputError,
            ),
        )
        + _QUEUE,
        headers=("Location", "ETag"),
        more=((200, "The recording that the same Idempotency-Key, or the same upload, made before"),),
    ),
    ("GET", "/v1/recordings"): Answers(_said(OptionInvalid)),
    ("GET", "/v1/recordings/{recording_id}"): Answers(_JOB, headers=("ETag",)),
    ("DELETE", "/v1/recordings/{recording_id}"): Answers(_JOB),
    ("POST", "/v1/recordings/{recording_id}/cancel"): Answers(_said(JobNotFound, JobStateInvalid)),
    ("POST", "/v1/recordings/{recording_id}/retry"): Answers(_said(JobNotFound, JobStateInvalid) + _QUEUE),
    ("GET", "/v1/recordings/{recording_id}/transcript"): Answers(
        _said(OptionInvalid, JobNotFound, JobStateInvalid), content={**_transcripts(), docx.MEDIA_TYPE: _BYTES}
    ),
    ("PATCH", "/v1/recordings/{recording_id}/transcript"): Answers(
        _said(OptionInvalid, JobNotFound, JobStateInvalid, RevisionConflict, (428, "if_match_required")),
        headers=("ETag",),
        content=_TRANSCRIPT,
    ),
    ("GET", "/v1/recordings/{recording_id}/revisions"): Answers(_JOB),
    ("GET", "/v1/recordings/{recording_id}/audio"): Answers(
        _said(JobNotFound, BlobMissing),
        headers=("Accept-Ranges",),
        content={"*/*": _BYTES},
        more=((206, "The range that was asked for"), (416, "The range lies outside")),
    ),
    ("GET", "/v1/recordings/{recording_id}/events"): Answers(_said(OptionInvalid, JobNotFound), content=_EVENTS),
    ("GET", "/v1/recordings/{recording_id}/deliveries"): Answers(_JOB),
    ("OPTIONS", "/v1/uploads"): Answers(headers=("Tus-Version", "Tus-Extension", "Tus-Max-Size")),
    ("POST", "/v1/uploads"): Answers(
        _said(OptionInvalid, _OLD_TUS, _TOO_LARGE, LimitReached) + _QUEUE, headers=("Location", *_UPLOAD)
    ),
    ("HEAD", "/v1/uploads/{upload_id}"): Answers(_GONE, headers=_UPLOAD),
    ("GET", "/v1/uploads/{upload_id}"): Answers(_GONE, headers=_UPLOAD),
    ("PATCH", "/v1/uploads/{upload_id}"): Answers(
        _said(
            UploadNotFound, UploadConflict, (409, "upload_offset_mismatch"), (409, "upload_used"), _OLD_TUS, _TOO_LARGE
        )
        + _said(_MEDIA, _STALLED, OutputError),
        headers=_UPLOAD,
    ),
    ("DELETE", "/v1/uploads/{upload_id}"): Answers(_GONE),
    ("POST", "/v1/speakers"): Answers(
        _said(OptionInvalid, JobNotFound, SpeakerNotFound, JobStateInvalid, _MALFORMED, _STALLED, _TOO_LARGE, _MEDIA)
        + _said(SampleSilent, SampleTooShort, SeveralVoices, *_SOUND, OutputError, Overloaded, (422, "option_invalid")),
        headers=("Location",),
    ),
    ("GET", "/v1/speakers"): Answers(_said(OptionInvalid)),
    ("DELETE", "/v1/speakers/{speaker_id}"): Answers(_said(SpeakerNotFound)),
    ("GET", "/v1/live/{session}/events"): Answers((_NO_SESSION, *_said(Overloaded)), content=_EVENTS),
    ("GET", "/v1/live/{session}/transcript"): Answers(_said(OptionInvalid, _NO_SESSION), content=_transcripts()),
    ("POST", "/v1/live/{session}/shares"): Answers((_NO_SESSION,), ("Location",)),
    ("GET", "/v1/live/{session}/shares"): Answers((_NO_SESSION,)),
    ("DELETE", "/v1/live/{session}/shares/{share_id}"): Answers(_said(ShareNotFound, _NO_SESSION)),
    ("GET", "/v1/keys"): Answers((_OPEN,)),
    ("POST", "/v1/keys"): Answers(_said(OptionInvalid, _OPEN), ("Location",)),
    ("GET", "/v1/keys/{key_id}"): Answers(_KEY),
    ("DELETE", "/v1/keys/{key_id}"): Answers(_KEY),
    ("POST", "/v1/keys/{key_id}/rotate"): Answers(_said(OptionInvalid) + _KEY),
    ("POST", "/v1/tokens"): Answers(((409, "access_open"),)),
    ("GET", "/v1/audit"): Answers((_OPEN,)),
    ("GET", "/healthz"): Answers(),
    ("GET", "/readyz"): Answers(),
    ("GET", "/metrics"): Answers(content={"text/plain": _TEXT}),
}

EVERYWHERE: tuple[Said, ...] = (
    (HTTPStatus.FORBIDDEN, "host_refused"),
    (HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"),
    (HTTPStatus.SERVICE_UNAVAILABLE, "store_unavailable"),
    (HTTPStatus.INSUFFICIENT_STORAGE, "store_full"),
)
CHANGES: tuple[Said, ...] = ((HTTPStatus.FORBIDDEN, "origin_refused"),)
"""Of every method but GET and HEAD."""
WITH_BODY: tuple[Said, ...] = (
    (HTTPStatus.BAD_REQUEST, "bad_request"),
    (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_entity_too_large"),
)
WITH_PARAMETERS: tuple[Said, ...] = ((HTTPStatus.UNPROCESSABLE_ENTITY, "option_invalid"),)
WITH_KEYS: tuple[Said, ...] = (
    (HTTPStatus.UNAUTHORIZED, "invalid_api_key"),
    (HTTPStatus.FORBIDDEN, "scope_missing"),
    (HTTPStatus.TOO_MANY_REQUESTS, "limit_reached"),
)

PATTERNS: Mapping[str, Mapping[str, object]] = {
    "recording_id": {"pattern": "^rec_[0-9a-f]{32}$"},
    "upload_id": {"pattern": "^upl_[0-9a-f]{32}$"},
    "Idempotency-Key": {"pattern": "^[!-~]{1,255}$", "maxLength": 255},
    "Tus-Resumable": {"const": "1.0.0"},
    "If-Match": {"description": "The ETag that the recording or transcript came with, or `*`."},
    "Last-Event-ID": {"pattern": "^[0-9]{1,9}$"},
    "Range": {"description": "One range of bytes, as `bytes=0-1023`; anything else is ignored."},
}
"""What is checked in the routes themselves, so that FastAPI does not know it."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "Tus-Resumable": ("POST", "HEAD", "PATCH", "DELETE"),
    "If-Match": ("PATCH",),
}
"""Headers that these methods cannot do without, by name."""
