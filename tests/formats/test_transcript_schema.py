"""app/formats/transcript.schema.json says what app/formats/transcript_json.py writes and reads."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.core.types import Flag
from app.errors import InputError
from app.formats import transcript_json
from tests.formats.views import EMPTY, fuzz, meeting, transcripts

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "app" / "formats" / "transcript.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)
WRONG = [None, "x", -1, 1.5, True, [], {}, 40_000_000]


def _document():
    return json.loads(transcript_json.render(meeting()))


def _places(value, path=()):
    """The paths of every key of the document."""
    for key in value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0):
        if isinstance(value, dict):
            yield (*path, key)
        yield from _places(value[key], (*path, key))


def _holder(document, place):
    for key in place[:-1]:
        document = document[key]
    return document


PLACES = sorted(set(_places(_document())), key=str)


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == transcript_json.SCHEMA_VERSION
    assert SCHEMA["$id"].endswith(f":{transcript_json.SCHEMA_VERSION}")
    assert SCHEMA["$defs"]["segment"]["properties"]["flags"]["items"]["enum"] == sorted(it.value for it in Flag)


@fuzz
@given(transcripts())
def test_what_is_written_is_valid(view):
    VALIDATOR.validate(json.loads(transcript_json.render(view)))


def test_an_empty_meeting_is_valid():
    VALIDATOR.validate(json.loads(transcript_json.render(EMPTY)))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_every_key_is_needed(place):
    document = _document()
    del _holder(document, place)[place[-1]]
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InputError):
        transcript_json.parse(json.dumps(document))


@fuzz
@given(st.sampled_from(PLACES), st.sampled_from(WRONG))
def test_what_the_schema_refuses_the_reader_refuses(place, wrong):
    document = _document()
    _holder(document, place)[place[-1]] = wrong
    if not VALIDATOR.is_valid(document):
        with pytest.raises(InputError):
            transcript_json.parse(json.dumps(document))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_another_type_is_invalid(place):
    document = _document()
    _holder(document, place)[place[-1]] = {"an": "object"}
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema_version",), 2),
        (("duration_s",), -0.001),
        (("segments", 0, "flags"), ["loud"]),
        (("segments", 0, "words", 0, "confidence"), 1.001),
        (("turns", 0, "start_s"), 31_622_401),
        (("speakers", 0, "id"), -1),
    ],
)
def test_values_beyond_their_limits_are_invalid(place, value):
    document = _document()
    _holder(document, place)[place[-1]] = value
    assert not VALIDATOR.is_valid(document)


def test_keys_that_nobody_knows_are_ignored():
    document = copy.deepcopy(_document()) | {"new": 1}
    document["segments"][0]["new"] = None
    VALIDATOR.validate(document)
    assert transcript_json.parse(json.dumps(document)) == transcript_json.parse(json.dumps(_document()))
