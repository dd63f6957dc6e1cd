"""`/v1/speakers`: people whose voices are known. Voices are personal data: they are never answered or logged."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.access import Identity
from app.core.times import to_seconds
from app.enrolment import Sample, voice_of
from app.errors import JobStateInvalid, OptionInvalid, SpeakerNotFound
from app.jobs.types import JobState, KnownSpeaker
from app.transport.access.routes import AccessDep, IdentityDep
from app.transport.deps import Services, ServicesDep
from app.transport.disconnect import while_connected
from app.transport.problems import HttpProblem
from app.transport.recordings.routes import known_job
from app.transport.recordings.schemas import NewSpeaker, SampledSpeaker, SpeakerBody, SpeakerPage, speaker_body
from app.transport.uploads import FILE_FIELD, Form, read_body, receive_form

MAX_SAMPLE_BYTES = 64 * 1024**2
_JSON, _FORM = "application/json", "multipart/form-data"
_NAME = NewSpeaker.model_json_schema()["properties"]["name"]
_SAMPLE = {
    "type": "object",
    "required": ["name", FILE_FIELD],
    "properties": {
        "name": _NAME,
        FILE_FIELD: {
            "type": "string",
            "format": "binary",
            "description": "Speech of this person alone, 3 s to 5 min of it, in any format that recordings may have.",
        },
    },
    "additionalProperties": False,
}
_REQUEST = {
    "requestBody": {
        "required": True,
        "content": {_JSON: {"schema": NewSpeaker.model_json_schema()}, _FORM: {"schema": _SAMPLE}},
    }
}
"""Which of the two it is tells the Content-Type, so FastAPI cannot find out by itself."""

Body = TypeVar("Body", bound=BaseModel)

router = APIRouter(prefix="/v1/speakers", tags=["speakers"])


@router.post("", status_code=201, openapi_extra=_REQUEST)
async def create_speaker(
    request: Request, services: ServicesDep, who: IdentityDep, access: AccessDep, response: Response
) -> SpeakerBody:
    """Learn a voice: of a speaker of a finished transcript (JSON), or from a sample of speech (a form with a file)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _JSON:
        limits = services.upload_limits
        text = await read_body(request, limits, limits.max_field_bytes)
        known = await asyncio.to_thread(_of_transcript, services, who, text)
    elif kind == _FORM:
        known, heard_s = await _of_sample(request, services, who)
        await access.charge_all(who, heard_s)
    else:
        message = f"the body is {_JSON} (of a transcript) or {_FORM} (a sample), not {kind[:100] or 'nothing'}"
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    response.headers["Location"] = f"/v1/speakers/{known.id}"
    return speaker_body(known)


def _of_transcript(services: Services, who: Identity, text: bytes) -> KnownSpeaker:
    body = _read(NewSpeaker, text)
    name = _spoken(body.name)
    job = known_job(body.recording, services, who)
    if job.state is not JobState.SUCCEEDED:
        raise JobStateInvalid(f"recording {job.id} is {job.state}; voices are taken from finished ones")
    voice = services.store.speakers.of_transcript(job.id, body.speaker)
    return services.store.speakers.add(who.tenant, name, voice, job.id)


async def _of_sample(request: Request, services: Services, who: Identity) -> tuple[KnownSpeaker, float]:
    """The speaker, and how much sound was handed in, in seconds."""
    limits = services.upload_limits
    limits = replace(limits, max_file_bytes=min(limits.max_file_bytes, MAX_SAMPLE_BYTES))
    with services.admission.admit():
        async with receive_form(request, limits, services.upload_dir) as form:
            name = _sampled_name(form)
            sample = await while_connected(request, _learn(services, form))
    known = await asyncio.to_thread(services.store.speakers.add, who.tenant, name, sample.voice)
    return known, to_seconds(sample.duration)


def _sampled_name(form: Form) -> str:
    counts = Counter(name for name, _ in form.fields)
    twice = [name for name, number in counts.items() if number > 1]
    if twice:
        raise OptionInvalid(f"{twice[0][:60]} was given twice", param=twice[0][:60])
    if form.file is None:
        raise OptionInvalid("the request holds no file", param=FILE_FIELD)
    return _spoken(_read(SampledSpeaker, dict(form.fields)).name)


async def _learn(services: Services, form: Form) -> Sample:
    assert form.file is not None
    async with asyncio.timeout(services.timings.request_timeout_s), services.admission.slot():
        return await voice_of(services.workplace, form.file)


def _spoken(given: str) -> str:
    name = " ".join(given.split())
    if not name:
        raise OptionInvalid("a name cannot be blank", param="name")
    return name


def _read(kind: type[Body], data: bytes | dict[str, str]) -> Body:
    try:
        return kind.model_validate_json(data) if isinstance(data, bytes) else kind.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise RequestValidationError([{**it, "loc": ("body", *it["loc"])} for it in found]) from error


@router.get("")
def list_speakers(
    services: ServicesDep,
    who: IdentityDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SpeakerPage:
    """A page of the known speakers, newest first."""
    found, after = services.store.speakers.list(who.tenant, cursor, limit)
    return SpeakerPage(data=[speaker_body(it) for it in found], next_cursor=after)


@router.delete("/{speaker_id}", status_code=204)
def delete_speaker(speaker_id: str, services: ServicesDep, who: IdentityDep) -> None:
    """Forget a voice."""
    if not speaker_id.isascii() or not speaker_id.isprintable():
        raise SpeakerNotFound("there is no such speaker")
    services.store.speakers.delete(speaker_id, who.tenant)
