"""What schemathesis is told about the server: which ids there are, and what sound is. Loaded by its command line.

Half of the requests name something that exists; without it nearly all of them would end in 404.
"""

from __future__ import annotations

import json
import os

import schemathesis
from hypothesis import strategies as st
from schemathesis.transport.serialization import Binary, serialize_binary

from tests.transport.server import wav

KNOWN = json.loads(os.environ.get("CONTRACT_IDS", "{}"))
"""Name of a path's parameter -> ids that exist."""
_LISTS = ("hotwords", "known_speakers", "events", "hotwords[]", "keywords[]", "languages[]")
_NUMBERS = ("num_speakers", "min_speakers", "max_speakers", "temperature")
_OWN_KEY = os.environ.get("CONTRACT_KEY_ID", "")

# A form's file is sound that can be read in three of four.
schemathesis.openapi.format("binary", st.one_of(*[st.just(Binary(wav()))] * 3, st.binary(max_size=200).map(Binary)))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Put ids that exist into some of the requests."""
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    chance = hash(repr((case.path_parameters, case.query, str(case.body)[:200])))
    for name in case.path_parameters or ():
        if KNOWN.get(name) and chance % 2:
            case.path_parameters[name] = KNOWN[name][chance // 2 % len(KNOWN[name])]


@schemathesis.serializer("application/offset+octet-stream")
def part(ctx, value):
    """A part of an upload."""
    return {"data": serialize_binary(value)}


@schemathesis.hook
def filter_case(context, case):
    """Leave out what is wrong by the letter alone, and what would take the key that all requests show."""
    changes = case.method in ("DELETE", "POST") and (case.path_parameters or {}).get("key_id") == _OWN_KEY
    if _OWN_KEY and changes:
        return False
    if any(name.lower() == "x-schemathesis-unknown-property" for name in case.headers or ()):
        return False  # anybody may send any header
    # In a form a list of one is written as its item, and whatever it holds as text.
    form = case.media_type == "multipart/form-data" and isinstance(case.body, dict)
    if form and case.operation.path == "/v1/audio/transcriptions" and any(case.body.get(it) == "" for it in _NUMBERS):
        return False  # an empty field counts there as not given, since web forms send those
    return not (form and any(not _is_texts(case.body.get(name, [])) for name in _LISTS))


def _is_texts(value):
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
