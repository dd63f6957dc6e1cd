"""FastAPI's OpenAPI document -> a complete one: every error with its codes, raw bodies, headers, who may ask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.formats import FORMATS
from app.transport import answers
from app.transport.access.needs import NEEDS
from app.transport.answers import ANSWERS, Answers, Said
from app.transport.openai_schemas import ErrorBody, TranscriptionDiarizedJson, TranscriptionVerboseJson
from app.transport.problems import Problem

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key or a token; `Token` does as well."},
    "token": {"type": "apiKey", "in": "query", "name": "token", "description": "A token of POST /v1/tokens."},
}
_PARTIAL = {
    "type": "object",
    "description": "What there is of a recording that runs.",
    "required": ["partial", "segments"],
    "properties": {
        "partial": {"const": True},
        "segments": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "speaker", "start_s", "end_s", "text"],
                "properties": {
                    "id": {"type": "string"},
                    "speaker": {"type": "integer"},
                    "start_s": {"type": "number"},
                    "end_s": {"type": "number"},
                    "text": {"type": "string"},
                },
            },
        },
    },
}


def install(app: FastAPI, *, keys_required: bool) -> None:
    """Make `/openapi.json` complete; the document is made once, when it is first asked for."""

    made_by_fastapi = app.openapi

    def complete_openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(made_by_fastapi(), keys_required=keys_required)
        return made_by_fastapi()

    app.openapi = complete_openapi  # type: ignore[method-assign] # how FastAPI documents it


def complete(document: dict[str, Any], *, keys_required: bool) -> None:
    """Adds to the document in place."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= _transcript_schemas() | {"PartialTranscript": _PARTIAL}
    for model in (ErrorBody, TranscriptionVerboseJson, TranscriptionDiarizedJson):
        made = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        schemas |= made.pop("$defs", {}) | {model.__name__: made}
    if keys_required:
        components["securitySchemes"] = _SCHEMES
    for method, path, operation in operations(document):
        entry = ANSWERS[method, path]
        _parameters(method, operation)
        _good(operation, entry)
        secret = keys_required and not NEEDS[path]["GET" if method == "HEAD" else method].public
        if secret:
            operation["security"] = [{name: []} for name in _SCHEMES]
        for status, codes in _by_status(_errors(method, operation, entry, secret=secret)).items():
            _add_error(operation["responses"], status, codes)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method in capitals, path, operation) of all."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _transcript_schemas() -> dict[str, Any]:
    """The schema of our JSON and its parts, by the names that they have in the document."""
    text = (Path(__file__).parents[1] / "formats" / "transcript.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text.replace('"#/$defs/', '"#/components/schemas/Transcript_'))
    parts = {f"Transcript_{name}": part for name, part in schema.pop("$defs").items()}
    return parts | {"Transcript": {key: value for key, value in schema.items() if key not in ("$id", "$schema")}}


def _parameters(method: str, operation: Mapping[str, Any]) -> None:
    for it in operation.get("parameters", ()):
        schema = it["schema"]
        # Outside a body nothing can be null: what is not sent is not there.
        kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del schema["anyOf"]
            schema |= kinds[0]
        if it["in"] == "header":
            it["name"] = "-".join(part.capitalize() for part in it["name"].split("-")).replace("-Id", "-ID")
        if method in answers.NEEDED.get(it["name"], ()):
            it["required"] = True
        more = dict(answers.PATTERNS.get(it["name"], {}))
        if "description" in more:
            it["description"] = more.pop("description")
        schema |= more
        if it["name"] == "format":
            schema["enum"] = [*FORMATS] + ["docx"] * (operation["tags"] == ["recordings"])


def _good(operation: dict[str, Any], entry: Answers) -> None:
    responses = operation["responses"]
    first = next(iter(responses))
    if entry.content:
        responses[first]["content"] = {kind: {"schema": schema} for kind, schema in entry.content.items()}
    if entry.headers:
        responses[first]["headers"] = {name: {"schema": {"type": "string"}} for name in entry.headers}
    for status, description in entry.more:
        more = {"description": description}
        responses[str(status)] = responses[first] | more if status < HTTPStatus.BAD_REQUEST else more


def _errors(method: str, operation: Mapping[str, Any], entry: Answers, *, secret: bool) -> Iterator[Said]:
    yield from entry.errors
    yield from answers.EVERYWHERE
    if method not in ("GET", "HEAD"):
        yield from answers.CHANGES
    if "requestBody" in operation:
        yield from answers.WITH_BODY
    if operation["responses"].pop("422", None) is not None:
        yield from answers.WITH_PARAMETERS
    if secret:
        yield from answers.WITH_KEYS


def _by_status(errors: Iterator[Said]) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = {}
    for status, code in errors:
        found.setdefault(int(status), []).append(code)
    return dict(sorted(found.items()))


def _add_error(responses: dict[str, Any], status: int, codes: list[str]) -> None:
    named = f"{HTTPStatus(status).phrase}: {', '.join(dict.fromkeys(codes))}"
    known = responses.get(str(status))
    if known is not None:
        known["description"] = f"{known['description']}. {named}"
        return
    example = Problem(status, codes[0], HTTPStatus(status).phrase.lower()).body()
    body = {"schema": {"$ref": "#/components/schemas/ErrorBody"}, "example": example}
    answer: dict[str, Any] = {"description": named, "content": {"application/json": body}}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        answer["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    responses[str(status)] = answer
