"""Server messages as typed events."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.errors import LiveFailed
from app.client.events import Ack, Partial, Ready, Speakers, parse_event
from tests.client.fake_server import segment


def test_a_segment_survives_and_unknown_fields_are_ignored():
    event = parse_event(json.dumps({"type": "partial", "revision": 4, "segments": [segment(3, "hello")], "new": []}))
    assert isinstance(event, Partial)
    (found,) = event.segments
    assert (event.revision, found.id, found.speaker, found.text, found.words[0].text) == (4, "s3", 1, "hello", "hello")


def test_speaker_numbers_come_back_as_numbers():
    event = parse_event('{"type": "speakers", "revision": 2, "segments": {"a": 1}, "names": {"0": "Ada"}}')
    assert event == Speakers(2, {"a": 1}, {0: "Ada"})


def test_ready_has_what_a_resume_needs():
    event = parse_event(
        json.dumps(
            {
                "type": "ready",
                "revision": 0,
                "version": 1,
                "session": "s",
                "token": "t",
                "share": "v",
                "resumed": True,
                "from_samples": 320,
                "sample_rate": 16000,
                "limits": {"max_message_bytes": 9},
            }
        )
    )
    assert event == Ready(0, "s", "t", "v", True, 320, 9)


def test_a_type_of_a_later_version_is_none():
    assert parse_event('{"type": "mood", "revision": 1}') is None


@given(
    st.one_of(
        st.text(),
        st.dictionaries(st.sampled_from(["type", "revision", "samples"]), st.none() | st.text()).map(json.dumps),
        st.just('{"type": "ack", "revision": 1}'),
        st.just("[]"),
        st.just('{"type": []}'),
    )
)
def test_anything_else_is_a_protocol_error_and_nothing_worse(text):
    with suppress(LiveFailed):
        assert isinstance(parse_event(text), Ack | None)


def test_a_missing_field_is_named():
    with pytest.raises(LiveFailed, match="samples"):
        parse_event('{"type": "ack", "revision": 1}')
