"""The wire schema of `/v1/audio/transcriptions` and `/v1/models`: OpenAI's, plus our extra fields.

Shapes follow openai-python's `types/audio` and the OpenAPI document of the service. `TranscriptionForm` is what
requests are checked against and what `/docs` shows; the answers are written by `app/formats` and only described here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import OptionInvalid
from app.transport.openai_formats import RESPONSE_FORMATS

LIST_FIELDS = frozenset(
    {
        "timestamp_granularities",
        "include",
        "known_speaker_names",
        "known_speaker_references",
        "keywords",
        "languages",
        "hotwords",
    }
)


class ServerVad(BaseModel):
    """OpenAI's voice activity settings. Accepted and checked; our diarization finds the speech by itself."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["server_vad"]
    prefix_padding_ms: Annotated[int, Field(ge=0)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0)] = 200
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5


class TranscriptionForm(BaseModel):
    """All fields but `file`. Lists are sent as repeated `name[]` (or `name`), nested values as `name[key]`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str | None = None
    """`crosstalk`, `crosstalk-<decoder>`, or one of OpenAI's names as an alias (`GET /v1/models` lists all)."""

    response_format: str = "json"
    """json, text, srt, vtt, verbose_json, diarized_json, or another format of this server."""

    stream: bool = False
    """Send server-sent events while the transcript grows; with json, text and diarized_json."""

    language: str | None = None
    """Language of the recording (`en`, `de`, ...). Not given: it is detected."""

    prompt: Annotated[str, Field(max_length=4_000)] | None = None
    """Words and names to expect, in running text."""

    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Accepted; decoding is always greedy."""

    timestamp_granularities: list[Literal["word", "segment"]] = Field(default_factory=list)
    """What verbose_json shows: word, segment or both. Not given: segment."""

    chunking_strategy: Literal["auto"] | ServerVad | None = None
    """Accepted in both forms; windows are chosen by the diarization."""

    include: list[Literal["logprobs"]] = Field(default_factory=list)
    """Accepted; token log probabilities are not given (words of verbose_json carry a confidence instead)."""

    known_speaker_names: list[str] = Field(default_factory=list)
    """Not supported yet: refused when given."""

    known_speaker_references: list[str] = Field(default_factory=list)
    """Not supported yet: refused when given."""

    keywords: list[str] = Field(default_factory=list)
    """OpenAI's name for hotwords."""

    languages: list[str] = Field(default_factory=list)
    """One language counts as `language`; several are a hint that is not used."""

    hotwords: list[str] = Field(default_factory=list)
    """Ours: words and names that the recording is likely to hold."""

    num_speakers: Annotated[int, Field(ge=1)] | None = None
    """Ours: the exact number of speakers."""

    min_speakers: Annotated[int, Field(ge=1)] | None = None
    """Ours: at least so many speakers."""

    max_speakers: Annotated[int, Field(ge=1)] | None = None
    """Ours: at most so many speakers."""


def read_form(fields: Iterable[tuple[str, str]]) -> tuple[TranscriptionForm, tuple[str, ...]]:
    """Multipart fields -> the checked form, and the names of the fields that nobody here knows.

    An empty value counts as not given (web forms send those). Raises OptionInvalid naming the field.
    """
    values: dict[str, object] = {}
    ignored: list[str] = []
    for name, value in fields:
        base, bracket, key = name.partition("[")
        key = key.removesuffix("]")
        if base not in TranscriptionForm.model_fields or (key and base != "chunking_strategy"):
            ignored.append(name)
        elif not value:
            continue
        elif base in LIST_FIELDS:
            values.setdefault(base, [])
            _append(values[base], value)
        elif bracket and key:
            nested = values.setdefault(base, {})
            if not isinstance(nested, dict):
                raise OptionInvalid(f"field {base!r} is given in two forms", param=base)
            nested[key] = value
        elif values.setdefault(base, _scalar(base, value)) != _scalar(base, value):
            raise OptionInvalid(f"field {base!r} is given twice", param=base)
    try:
        form = TranscriptionForm.model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from error
    if form.response_format not in RESPONSE_FORMATS:
        known = ", ".join(RESPONSE_FORMATS)
        raise OptionInvalid(
            f"unknown response_format {form.response_format!r}; known are {known}", param="response_format"
        )
    return form, tuple(dict.fromkeys(ignored))


def _append(values: object, value: str) -> None:
    assert isinstance(values, list)
    values.append(value)


def _scalar(name: str, value: str) -> object:
    # Besides the bracketed form, clients send the object as one JSON text.
    if name == "chunking_strategy" and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (json.JSONDecodeError, RecursionError) as error:
            raise OptionInvalid(f"field {name!r} is neither a name nor JSON: {error}", param=name) from error
    return value


def _invalid(error: ValidationError) -> OptionInvalid:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    return OptionInvalid(f"field {name!r}: {first['msg']} (is {str(first['input'])[:80]!r})", param=name)


class DurationUsage(BaseModel):
    type: Literal["duration"]
    seconds: float


class TranscriptionJson(BaseModel):
    """response_format=json."""

    text: str
    usage: DurationUsage | None = None


class VerboseSegment(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int
    start: float
    end: float
    text: str


class VerboseWord(BaseModel):
    model_config = ConfigDict(extra="allow")

    word: str
    start: float
    end: float


class TranscriptionVerboseJson(BaseModel):
    """response_format=verbose_json."""

    model_config = ConfigDict(extra="allow")

    task: Literal["transcribe"]
    language: str
    duration: float
    text: str
    segments: list[VerboseSegment] | None = None
    words: list[VerboseWord] | None = None


class DiarizedSegment(BaseModel):
    """A finished segment: its text and times never change."""

    model_config = ConfigDict(extra="allow")

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    speaker: str
    text: str


class TranscriptionDiarizedJson(BaseModel):
    """response_format=diarized_json."""

    model_config = ConfigDict(extra="allow")

    task: Literal["transcribe"]
    duration: float
    text: str
    segments: list[DiarizedSegment]


class ErrorDetail(BaseModel):
    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """OpenAI's error body; `code` is stable and safe to program against."""

    error: ErrorDetail


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "crosstalk"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]
