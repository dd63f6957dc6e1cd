"""One request's way from its form and file to a session's updates. Shared by whole and streamed answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.types import TranscriptView
from app.errors import OptionInvalid
from app.formats import Format
from app.options import Asked, session_options
from app.recordings import Heard, follow, transcribe_file
from app.session import SessionOptions, Update
from app.transport.deps import Services
from app.transport.openai_formats import STREAMED_FORMATS, response_format
from app.transport.openai_models import check_model
from app.transport.openai_schemas import TranscriptionForm, read_form
from app.transport.uploads import FILE_FIELD, Form


@dataclass(frozen=True, slots=True)
class Task:
    """A checked request. `ignored`: what was sent but has no effect here."""

    file: Path
    options: SessionOptions
    format: Format
    stream: bool
    ignored: tuple[str, ...]


def read_task(services: Services, form: Form) -> Task:
    """Check everything that can be checked before the work. Raises OptionInvalid, HttpProblem (unknown model)."""
    fields, unknown = read_form(form.fields)
    check_model(services, fields.model)
    if fields.known_speaker_names or fields.known_speaker_references:
        raise OptionInvalid("known speakers are not supported yet", param="known_speaker_names")
    if form.file is None:
        raise OptionInvalid("the request holds no file", param=FILE_FIELD)
    if fields.stream and fields.response_format not in STREAMED_FORMATS:
        raise OptionInvalid(
            f"stream works with {', '.join(STREAMED_FORMATS)}, not with {fields.response_format}", param="stream"
        )
    return Task(
        file=form.file,
        options=session_options(_asked(fields)),
        format=response_format(fields.response_format, fields.timestamp_granularities),
        stream=fields.stream,
        ignored=(*unknown, *_without_effect(fields)),
    )


async def whole(services: Services, task: Task, heard: Heard) -> TranscriptView:
    """The task's finished transcript. Raises what the recording, the engine and the disk raise, and TimeoutError."""
    async with _slot(services):
        return await transcribe_file(services.workplace, task.file, task.options, heard=heard)


async def updates(services: Services, task: Task, heard: Heard) -> AsyncIterator[Update]:
    """The same, as it grows."""
    async with _slot(services):
        async for update in follow(services.workplace, task.file, task.options, heard=heard):
            yield update


@asynccontextmanager
async def _slot(services: Services) -> AsyncIterator[None]:
    """A place among those that run, for as long as a request may take, waiting included."""
    async with asyncio.timeout(services.timings.request_timeout_s), services.admission.slot():
        yield


def _asked(fields: TranscriptionForm) -> Asked:
    language = fields.language or (fields.languages[0] if len(fields.languages) == 1 else None)
    prompt = (fields.prompt,) if fields.prompt else ()
    return Asked(
        language=language,
        num_speakers=fields.num_speakers,
        min_speakers=fields.min_speakers,
        max_speakers=fields.max_speakers,
        hotwords=(*fields.hotwords, *fields.keywords, *prompt),
    )


def _without_effect(fields: TranscriptionForm) -> tuple[str, ...]:
    effects = {
        "temperature": fields.temperature == 0,
        "include[]": not fields.include,
        "languages[]": len(fields.languages) <= 1,
    }
    return tuple(name for name, nothing_lost in effects.items() if not nothing_lost)
