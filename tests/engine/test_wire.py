"""Messages read back bit for bit, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from app.core.types import (
    Decoded,
    DecodedTurn,
    DecodeRequest,
    DecodeTurn,
    EngineSpec,
    Flag,
    FrameGrid,
    LocalDiarization,
    VoiceRun,
    Window,
    Word,
)
from app.engine import wire
from app.engine.strict_json import WireInvalid

INTS = st.integers(-(2**62), 2**62)
TEXT = st.text(max_size=12)
MAYBE_TEXT = st.none() | TEXT
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TURNS = st.builds(DecodeTurn, INTS, INTS, INTS, st.booleans(), st.booleans(), MAYBE_TEXT)
WORDS = st.builds(Word, TEXT, INTS, INTS, FLOATS)
SPECS = st.builds(EngineSpec, INTS, st.builds(FrameGrid, INTS, INTS), INTS, TEXT, INTS)
DECODED = st.builds(
    Decoded,
    st.lists(
        st.builds(
            DecodedTurn, TURNS, st.lists(WORDS, max_size=3).map(tuple), st.frozensets(st.sampled_from(list(Flag)))
        ),
        max_size=3,
    ).map(tuple),
    MAYBE_TEXT,
)


def sound():
    return npst.arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32))


WINDOWS = st.builds(Window, INTS, INTS, sound(), INTS, INTS, INTS)
REQUESTS = st.builds(
    DecodeRequest,
    INTS,
    INTS,
    sound(),
    st.lists(TURNS, max_size=3).map(tuple),
    MAYBE_TEXT,
    st.lists(TEXT, max_size=3).map(tuple),
    TEXT,
)


@st.composite
def diarizations(draw):
    frames, speakers, dim, runs = draw(
        st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(0, 5), st.integers(0, 3))
    )
    elements = st.floats(width=32)
    return LocalDiarization(
        draw(INTS),
        draw(INTS),
        draw(npst.arrays(np.float32, (frames, speakers), elements=elements)),
        tuple(
            VoiceRun(
                draw(st.integers(0, speakers - 1)),
                draw(INTS),
                draw(INTS),
                draw(npst.arrays(np.float32, dim, elements=elements)),
            )
            for _ in range(runs)
        ),
    )


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(DECODED)
def test_decoded_reads_back(decoded: Decoded) -> None:
    assert wire.load_decoded(wire.dump_decoded(decoded)) == decoded


@given(SPECS)
def test_spec_reads_back(spec: EngineSpec) -> None:
    assert wire.load_spec(wire.dump_spec(spec)) == spec


@given(diarizations())
def test_diarization_reads_back_bit_for_bit(local: LocalDiarization) -> None:
    found = wire.load_diarization(wire.dump_diarization(local))
    assert (found.start, found.end) == (local.start, local.end)
    assert same(found.activity, local.activity)
    assert len(found.runs) == len(local.runs)
    for run, expected in zip(found.runs, local.runs, strict=True):
        assert (run.local_speaker, run.start, run.end) == (expected.local_speaker, expected.start, expected.end)
        assert same(run.voice, expected.voice)


@given(WINDOWS)
def test_window_reads_back_bit_for_bit(window: Window) -> None:
    found = wire.load_window(wire.dump_window(window))
    assert replace(found, samples=window.samples) == window
    assert same(found.samples, window.samples)


@given(REQUESTS)
def test_request_reads_back_bit_for_bit(request: DecodeRequest) -> None:
    data = wire.dump_request(request)
    found = wire.load_request(data)
    assert same(found.samples, request.samples)
    assert (found.turns, found.language, found.hotwords, found.context) == (
        request.turns,
        request.language,
        request.hotwords,
        request.context,
    )
    assert wire.dump_request(found) == data


@given(DECODED)
def test_a_message_is_one_line_of_ascii(decoded: Decoded) -> None:
    data = wire.dump_decoded(decoded)
    assert data.isascii()
    assert b"\n" not in data


def example() -> dict[str, object]:
    runs = (VoiceRun(1, 2, 5, np.ones(1, np.float32)), VoiceRun(0, 5, 8, np.ones(1, np.float32)))
    local = LocalDiarization(0, 8, np.zeros((2, 3), np.float32), runs)
    return json.loads(wire.dump_diarization(local))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"version": True}, "must be an integer"),
        ({"kind": "decoded"}, "kind 'decoded'"),
        ({"extra": 1}, "unknown keys extra"),
        ({"start": 1.0}, "start must be an integer"),
        ({"runs": [[0, 1, 2]]}, "1 runs and 2 voices"),
        ({"runs": [[0, 1, 2], [3, 1, 2]]}, "local speaker 3 of 3"),
        ({"runs": [[0, 1, 2], [-1, 1, 2]]}, "local speaker -1 of 3"),
        ({"runs": [[0, 1, 2], [0, 1]]}, r"runs\[1\] must be"),
        ({"runs": [[0, 1, 2], [0, 1, 2.0]]}, r"runs\[1\] must be an integer"),
        ({"runs": "123"}, "must be a list"),
        ({"activity": [1, 2]}, "must be an object"),
        ({"activity": {"shape": [2, 3], "f32": "AAAA"}}, "do not fill"),
        ({"activity": {"shape": [6], "f32": "A" * 32}}, "do not fill"),
        ({"activity": {"shape": [2, -3], "f32": ""}}, "do not fill"),
        ({"activity": {"shape": [0, 2**80], "f32": ""}}, "no array of shape"),
        ({"activity": {"shape": [2, 3], "f32": "!" * 32}}, "not base64"),
        ({"activity": {"shape": [2, 3], "f32": 5}}, "must be text"),
    ],
)
def test_reading_is_strict(change: dict[str, object], message: str) -> None:
    with pytest.raises(WireInvalid, match=message):
        wire.load_diarization(json.dumps({**example(), **change}).encode())


def test_a_missing_key_is_named() -> None:
    fields = example()
    del fields["voices"]
    with pytest.raises(WireInvalid, match="'voices' is missing"):
        wire.load_diarization(json.dumps(fields).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", "{\u00e4}".encode(), b'{"kind": NaN}', b"[" * 100_000])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(WireInvalid):
        wire.load_decoded(data)


@pytest.mark.parametrize(
    "word", [["a", 0, 1], ["a", 0, 1, 1], ["a", 0.5, 1, 0.5], [1, 0, 1, 0.5], "word", ["a", 0, 1, "HUGE"]]
)
def test_a_wrong_word_is_refused(word: object) -> None:
    fields = json.loads(wire.dump_decoded(Decoded((DecodedTurn(DecodeTurn(0, 1, 0), ()),))))
    fields["turns"][0]["words"] = [word]
    data = json.dumps(fields).replace('"HUGE"', "1e999").encode()
    with pytest.raises(WireInvalid, match=r"turns\[0\].words\[0\]"):
        wire.load_decoded(data)


def test_an_unknown_flag_is_refused() -> None:
    fields = json.loads(wire.dump_decoded(Decoded((DecodedTurn(DecodeTurn(0, 1, 0), ()),))))
    fields["turns"][0]["flags"] = ["shiny"]
    with pytest.raises(WireInvalid, match="shiny"):
        wire.load_decoded(json.dumps(fields).encode())


def test_values_without_a_message_are_refused_at_writing() -> None:
    with pytest.raises(WireInvalid, match="float64"):
        wire.dump_window(Window(0, 0, np.zeros(4), 4, 0, 4))  # type: ignore[arg-type]
    runs = tuple(VoiceRun(0, 0, 1, np.zeros(dim, np.float32)) for dim in (2, 3))
    with pytest.raises(WireInvalid, match="differ in length"):
        wire.dump_diarization(LocalDiarization(0, 1, np.zeros((1, 1), np.float32), runs))
    with pytest.raises(WireInvalid):
        wire.dump_decoded(Decoded((DecodedTurn(DecodeTurn(0, 1, 0), (Word("a", 0, 1, float("nan")),)),)))
