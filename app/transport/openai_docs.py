"""What `/docs` says about transcriptions: the form, every kind of answer, every error, with examples."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from app.transport.answers import EVENT
from app.transport.openai_formats import RESPONSE_FORMATS
from app.transport.openai_schemas import (
    LIST_FIELDS,
    ErrorBody,
    TranscriptionDiarizedJson,
    TranscriptionForm,
    TranscriptionJson,
    TranscriptionVerboseJson,
)
from app.transport.problems import Problem

_STREAM = """data: {"type":"transcript.text.delta","delta":"Shall we start?","segment_id":"seg_1"}

data: {"type":"transcript.text.segment","id":"seg_1","start":0.42,"end":1.95,"text":"Shall we start?","speaker":"A"}

data: {"type":"transcript.text.done","text":"Shall we start?"}

"""

_JSON_EXAMPLES = {
    "json": {"value": {"text": "Shall we start? Yes.", "usage": {"type": "duration", "seconds": 13}}},
    "verbose_json": {
        "value": {
            "task": "transcribe",
            "language": "english",
            "duration": 12.48,
            "text": "Shall we start?",
            "segments": [{"id": 0, "start": 0.42, "end": 1.95, "text": " Shall we start?"}],
        }
    },
    "diarized_json": {
        "value": {
            "task": "transcribe",
            "duration": 12.48,
            "text": "A: Shall we start?\nB: Yes.",
            "segments": [
                {
                    "type": "transcript.text.segment",
                    "id": "seg_1",
                    "start": 0.42,
                    "end": 1.95,
                    "text": "Shall we start?",
                    "speaker": "A",
                },
                {
                    "type": "transcript.text.segment",
                    "id": "seg_2",
                    "start": 1.8,
                    "end": 2.31,
                    "text": "Yes.",
                    "speaker": "B",
                },
            ],
            "usage": {"type": "duration", "seconds": 13},
        }
    },
}


def _form_schema() -> dict[str, Any]:
    schema = TranscriptionForm.model_json_schema()
    definitions = schema.pop("$defs")
    properties: dict[str, Any] = {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "The recording: any container and codec that FFmpeg reads, audio or video.",
        }
    }
    for name, field in schema["properties"].items():
        properties[f"{name}[]" if name in LIST_FIELDS else name] = field
    properties["response_format"]["enum"] = list(RESPONSE_FORMATS)
    properties["chunking_strategy"]["anyOf"] = [{"const": "auto", "type": "string"}, definitions["ServerVad"]]
    return schema | {"properties": properties, "required": ["file"]}


def _error(status: HTTPStatus, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    example = Problem(status, code, message, param).body()
    return {
        "model": ErrorBody,
        "description": status.phrase,
        "content": {"application/json": {"example": example}},
    }


REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": _form_schema()}},
    }
}
"""The request's form; it is read as a stream, so FastAPI cannot find out by itself."""

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": TranscriptionJson | TranscriptionVerboseJson | TranscriptionDiarizedJson,
        "description": "The transcript in the format asked for, or the stream of its events",
        "headers": {
            "X-Crosstalk-Ignored": {
                "description": "Fields that are unknown or have no effect here",
                "schema": {"type": "string"},
            }
        },
        "content": {
            "application/json": {"examples": _JSON_EXAMPLES},
            "text/plain": {"example": "Shall we start? Yes.\n"},
            "application/x-subrip": {"example": "1\n00:00:00,420 --> 00:00:01,950\nSpeaker 1: Shall we start?\n"},
            "text/vtt": {"example": "WEBVTT\n\n00:00:00.420 --> 00:00:01.950\n<v Speaker 1>Shall we start?</v>\n"},
            "text/event-stream": {"schema": EVENT, "example": _STREAM},
        },
    },
    400: _error(HTTPStatus.BAD_REQUEST, "audio_unreadable", "meeting.wav: not a media file", "file"),
    404: _error(HTTPStatus.NOT_FOUND, "model_not_found", "no model 'gpt-5' here; known are crosstalk, ...", "model"),
    408: _error(HTTPStatus.REQUEST_TIMEOUT, "upload_stalled", "the upload stopped half-way"),
    413: _error(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "upload_too_large",
        "'file' is larger than the limit of 1073741824 bytes",
        "file",
    ),
    415: _error(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be multipart/form-data, not application/json",
    ),
    500: _error(HTTPStatus.INTERNAL_SERVER_ERROR, "engine_failed", "the decoder failed"),
    503: _error(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        "this server already works on 10 transcriptions; try again later",
    )
    | {
        "headers": {
            "Retry-After": {"description": "Seconds to wait before the next attempt", "schema": {"type": "integer"}}
        }
    },
    504: _error(HTTPStatus.GATEWAY_TIMEOUT, "timeout", "the transcription took longer than this server allows"),
    507: _error(
        HTTPStatus.INSUFFICIENT_STORAGE, "output_failed", "the upload cannot be stored: No space left on device"
    ),
}
"""Every answer to a transcription request."""
