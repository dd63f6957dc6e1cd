"""The query of /v1/listen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import OptionInvalid
from app.transport.listen.params import KNOWN, ListenOptions, parse_query

RAW = [("encoding", "linear16"), ("sample_rate", "8000")]


def test_nothing_given_is_a_container_in_english():
    assert parse_query([]) == ListenOptions(language="en")


def test_everything_that_is_used():
    asked = parse_query(
        [
            *RAW, ("channels", "2"), ("model", "nova-3"), ("language", "de-DE"), ("interim_results", "True"),
            ("vad_events", "true"), ("diarize", "true"), ("smart_format", "true"), ("endpointing", "300"),
            ("utterance_end_ms", "1500"), ("keyterm", "Ada Lovelace"), ("keyterm", "ratio 3:4"),
            ("keywords", "Babbage:2.5"), ("keywords", "engine"), ("tag", "a"), ("tag", "b"),
            ("numerals", "true"), ("redact", "false"),
        ]
    )  # fmt: skip
    assert asked == ListenOptions(
        encoding="pcm_s16le",
        sample_rate=8000,
        channels=2,
        language="de",
        hotwords=("Ada Lovelace", "ratio 3:4", "Babbage", "engine"),
        interim_results=True,
        vad_events=True,
        diarize=True,
        formatted=True,
        endpointing_ms=300,
        utterance_end_ms=1500,
        tags=("a", "b"),
        warnings=("numerals has no effect here",),
    )


@pytest.mark.parametrize(
    ("pairs", "param"),
    [
        ([("encodng", "linear16")], "encodng"),
        ([("encoding", "linear16")], "sample_rate"),
        ([("encoding", "flac")], "encoding"),
        ([("encoding", "mp3")], "encoding"),
        ([("encoding", "mulaw"), ("sample_rate", "8k")], "sample_rate"),
        ([("channels", "0")], "channels"),
        ([("multichannel", "true")], "multichannel"),
        ([("redact", "pci")], "redact"),
        ([("callback", "http://x")], "callback"),
        ([("language", "klingon")], "language"),
        ([("diarize_model", "v2")], "diarize_model"),
        ([("diarize", "maybe")], "diarize"),
        ([("utterance_end_ms", "1000")], "utterance_end_ms"),
        ([("utterance_end_ms", "10"), ("interim_results", "true")], "utterance_end_ms"),
        ([("endpointing", "-5")], "endpointing"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(pairs, param):
    with pytest.raises(OptionInvalid) as caught:
        parse_query(pairs)
    assert caught.value.param == param


@pytest.mark.parametrize(("value", "expected"), [("false", None), ("true", 10), ("0", 0), ("300", 300)])
def test_endpointing(value, expected):
    assert parse_query([("endpointing", value)]).endpointing_ms == expected


def test_multi_means_detect_and_a_model_of_the_diarizer_turns_it_on():
    asked = parse_query([("language", "multi"), ("diarize_model", "latest")])
    assert asked.language is None
    assert asked.diarize


@given(st.lists(st.tuples(st.sampled_from(sorted(KNOWN)) | st.text(max_size=5), st.text(max_size=8)), max_size=6))
def test_any_query_is_either_understood_or_refused_by_name(pairs):
    try:
        options = parse_query(pairs)
    except OptionInvalid as error:
        assert error.param is not None  # noqa: PT017 - either outcome is right, but an error must name its culprit
    else:
        assert {name for name, _ in pairs} <= KNOWN
        assert options.sample_rate > 0
