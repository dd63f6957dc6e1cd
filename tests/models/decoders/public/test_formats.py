"""The parsers: answers as the models' documentation shows them, damaged ones, and any text at all."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.decoders.public.attribute import Turn, attribute
from models.decoders.public.kinds import KINDS
from models.decoders.public.moss_format import parse_moss
from models.decoders.public.segments import RawSegment, read_time, repair
from models.decoders.public.vibevoice_format import parse_vibevoice
from models.decoders.public.words import split_text

SECOND = 16_000

# The example of MOSS-Transcribe-Diarize's README.
MOSS = (
    "[0.48][S01]Welcome everyone[1.66][12.26][S02]The new transcription pipeline is ready for evaluation[13.81]"
    "[14.36][S01]Great, include the diarization results in the report[18.76]"
)
# The first segments of the example in transformers' documentation of VibeVoice ASR.
VIBEVOICE = (
    'assistant\n[{"Start":0,"End":15.43,"Speaker":0,"Content":"Hello everyone and welcome. I\'m your host, Alex."},'
    '{"Start":15.43,"End":21.05,"Speaker":1,"Content":"Thanks so much for having me, Alex."}]\n'
)


def plain(segments: list[RawSegment]) -> list[tuple[int | None, float | None, float | None, str]]:
    return [(segment.speaker, segment.start_s, segment.end_s, segment.text.strip()) for segment in segments]


def test_moss_as_documented() -> None:
    segments, faults = parse_moss(MOSS)
    assert plain(segments) == [
        (1, 0.48, 1.66, "Welcome everyone"),
        (2, 12.26, 13.81, "The new transcription pipeline is ready for evaluation"),
        (1, 14.36, 18.76, "Great, include the diarization results in the report"),
    ]
    assert not faults


def test_vibevoice_as_documented() -> None:
    segments, faults = parse_vibevoice(VIBEVOICE)
    assert plain(segments) == [
        (0, 0.0, 15.43, "Hello everyone and welcome. I'm your host, Alex."),
        (1, 15.43, 21.05, "Thanks so much for having me, Alex."),
    ]
    assert not faults


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_letter_knows_its_place_in_the_answer(name: str) -> None:
    text = {"moss": MOSS, "vibevoice": VIBEVOICE}[name]
    for segment in KINDS[name].parse(text)[0]:
        assert "".join(text[place] for place in segment.places) == segment.text


@pytest.mark.parametrize(
    ("text", "expected", "faults"),
    [
        ("[1:05.5][S01]a[01:02:03]", [(1, 65.5, 3723.0, "a")], {}),
        ("assistant\n[0.0][S1] a [1.0]", [(1, 0.0, 1.0, "a")], {}),
        # No end: at once the next start, or a speaker, or nothing at all.
        ("[0.0][S01]a[2.0][S02]b[3.0]", [(1, 0.0, None, "a"), (2, 2.0, 3.0, "b")], {}),
        ("[0.0][S01]a[S02]b[3.0]", [(1, 0.0, None, "a"), (2, None, 3.0, "b")], {}),
        ("[0.0][S01]a b", [(1, 0.0, None, "a b")], {"cut_off": 1}),
        # Cut inside a tag.
        ("[0.0][S01]a[1.0][2.0][S02]b[3.", [(1, 0.0, 1.0, "a"), (2, 2.0, None, "b")], {"cut_off": 2}),
        ("[0.0][S01]a[1.0][S0", [(1, 0.0, 1.0, "a")], {"cut_off": 1}),
        # No speaker, no start, no tags.
        ("[0.0]a[1.0]", [(None, 0.0, 1.0, "a")], {"speaker_missing": 1}),
        ("[S01]a[1.0]", [(1, None, 1.0, "a")], {}),
        ("just words", [(None, None, None, "just words")], {"stray_text": 1, "cut_off": 1}),
        ("[0.0][S01]a[1.0] and more [2.0][S01]b[3.0]",
         [(1, 0.0, 1.0, "a"), (None, None, None, "and more"), (1, 2.0, 3.0, "b")], {"stray_text": 1}),
        # What is no tag is text.
        ("[0.0][S01][laughter] a [x][1.0]", [(1, 0.0, 1.0, "[laughter] a [x]")], {}),
        ("[0.0][Sxx]a[1.0]", [(None, 0.0, 1.0, "[Sxx]a")], {"speaker_missing": 1}),
        ("[1e9][S01]a[nan]", [(None, None, None, "[1e9]"), (1, None, None, "a[nan]")], {"stray_text": 1, "cut_off": 1}),
        ("[0.0][S01][1.0]", [], {}),
        ("", [], {}),
    ],
)  # fmt: skip
def test_damaged_moss(text: str, expected: list[object], faults: dict[str, int]) -> None:
    segments, found = parse_moss(text)
    assert plain(segments) == expected
    assert dict(found) == faults


@pytest.mark.parametrize(
    ("text", "expected", "faults"),
    [
        # Cut off in a string, behind a key, in a number.
        ('[{"Start":0,"End":2.5,"Speaker":0,"Content":"one two', [(0, 0.0, 2.5, "one two")], {"cut_off": 1}),
        ('[{"Start":0,"End":2.5,"Speaker":0,"Content":"a"},{"Start":2', [(0, 0.0, 2.5, "a")], {"cut_off": 1}),
        ('[{"Start":0,"End":2.5,"Speaker":0,"Content":"a"},{"Sta', [(0, 0.0, 2.5, "a")], {"cut_off": 1}),
        ('[{"Start":0,"End":2.5,"Speaker":0,"Content":"a"}', [(0, 0.0, 2.5, "a")], {}),
        # Quotes without a backslash, with one, and other escapes.
        ('[{"Start":0,"End":1,"Speaker":0,"Content":"say "hi" to me"}]', [(0, 0.0, 1.0, 'say "hi" to me')], {}),
        ('[{"Start":0,"End":1,"Speaker":0,"Content":"say \\"hi\\""}]', [(0, 0.0, 1.0, 'say "hi"')], {}),
        ('[{"Start":0,"End":1,"Speaker":0,"Content":"caf\\u00e9\\ud83d"}]', [(0, 0.0, 1.0, "café")], {}),
        # Keys in another order or under the names that the prompt uses; values as strings.
        ('[{"Content":"a","Speaker ID":"Speaker 2","Start time":"0:01.5","End time":"2"}]', [(2, 1.5, 2.0, "a")], {}),
        # Sounds have no speaker.
        ('[{"Start":0,"End":1,"Content":"[Silence]"}]', [(None, 0.0, 1.0, "[Silence]")], {}),
        ('[{"Start":0,"End":1,"Content":"a"}]', [(None, 0.0, 1.0, "a")], {"speaker_missing": 1}),
        ('[{"Start":"now","End":null,"Speaker":1,"Content":"a"}]', [(1, None, None, "a")], {}),
        ('[{"Start":-1,"End":1e3,"Speaker":1,"Content":"a"}]', [(1, None, None, "a")], {}),
        # A brace is missing; text around the list; no list at all.
        ('[{"Start":0,"Speaker":0,"Content":"a",{"Start":1,"End":2,"Speaker":1,"Content":"b"}]',
         [(0, 0.0, None, "a"), (1, 1.0, 2.0, "b")], {"cut_off": 1}),
        ('Here: [{"Start":0,"End":1,"Speaker":0,"Content":"a"}] done',
         [(None, None, None, "Here: ["), (0, 0.0, 1.0, "a"), (None, None, None, "] done")], {"stray_text": 2}),
        ("just words", [(None, None, None, "just words")], {"stray_text": 1}),
        ("[]", [], {}),
        ("", [], {}),
    ],
)  # fmt: skip
def test_damaged_vibevoice(text: str, expected: list[object], faults: dict[str, int]) -> None:
    segments, found = parse_vibevoice(text)
    if "Here" in text:
        assert plain(segments)[1] == expected[1]
        assert len(segments) == 3
    else:
        assert plain(segments) == expected
    assert dict(found) == faults


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "1e5", "-1", "nan", "1.2.3", "١"])
def test_what_is_no_time(text: str) -> None:
    assert read_time(text) is None


def raw(speaker: int | None, start_s: float | None, end_s: float | None, text: str = "word") -> RawSegment:
    return RawSegment(speaker, start_s, end_s, text, tuple(range(len(text))))


def spans(segments: list[RawSegment], seconds: float) -> tuple[list[tuple[float, float]], dict[str, int]]:
    result = repair(segments, int(seconds * SECOND))
    return [(s.start / SECOND, s.end / SECOND) for s in result.segments], dict(result.faults)


def test_times_are_repaired_and_counted() -> None:
    assert spans([raw(1, 1.0, None), raw(2, 3.0, 4.0)], 10) == ([(1, 3), (3, 4)], {"time_missing": 1})
    assert spans([raw(1, 1.0, 2.0), raw(2, None, 4.0)], 10) == ([(1, 2), (2, 4)], {"time_missing": 1})
    # The end before the start: as long as its letters take.
    assert spans([raw(1, 5.0, 2.0, "abcde")], 10) == ([(5, 5.4)], {"times_backwards": 1})
    # Text without any tag: up to the next segment, or to the end.
    assert spans([raw(None, None, None), raw(1, 3.0, 4.0)], 10)[0] == [(0, 3), (3, 4)]
    assert spans([raw(1, 3.0, 4.0), raw(None, None, None)], 10)[0] == [(3, 4), (4, 10)]
    # A segment that begins before the one before it.
    assert spans([raw(1, 5.0, 6.0), raw(2, 1.0, 2.0)], 10) == ([(1, 2), (5, 6)], {"times_backwards": 1})
    # Beyond the window: held to it; a little is rounding.
    assert spans([raw(1, 8.0, 12.0)], 10) == ([(8, 10)], {"times_beyond_window": 1})
    assert spans([raw(1, 8.0, 10.05)], 10) == ([(8, 10)], {})
    assert spans([raw(1, 40.0, 45.0, "abcde")], 10) == ([(9.6, 10)], {"times_beyond_window": 1})
    assert spans([raw(1, None, None, "abcde")], 0.1) == ([(0, 0.1)], {"time_missing": 2, "times_beyond_window": 1})


def test_copies_are_dropped_and_told() -> None:
    result = repair([raw(1, 1.0, 2.0)] * 3 + [raw(2, 1.0, 2.0), raw(1, 2.0, 3.0)], 10 * SECOND)
    assert [(s.speaker, s.start) for s in result.segments] == [(1, SECOND), (2, SECOND), (1, 2 * SECOND)]
    assert result.repeated == ((SECOND, 2 * SECOND),) * 2
    assert dict(result.faults) == {"segment_repeated": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", ["Hello,", "world!"]),
        ("  [laughter] well - yes [Noise]", ["well", "yes"]),
        ("我们开始吧。好", ["我", "们", "开", "始", "吧。", "好"]),
        ("用 GPU跑test", ["用", "GPU", "跑", "test"]),
        ("50 € \ufffd\x00", ["50", "€"]),
        ("...", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert [word.text for word in split_text(text, range(len(text)))] == words


TIMES = st.one_of(
    st.floats(0, 50).map(lambda x: f"{x:.2f}"), st.sampled_from(["", "nan", "9" * 400, "1:02", "-3", "1e999", "٣"])
)
TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from(["hello there", "[Silence]", '"', "\\", "\\u12", "你好。", "[", "]"])
)
MOSS_PARTS = st.one_of(
    TIMES.map(lambda x: f"[{x}]"), st.integers(0, 10**5).map(lambda x: f"[S{x:02d}]"), TEXTS, st.just("assistant\n")
)
JSON_PARTS = st.one_of(
    st.tuples(TIMES, TIMES, st.integers(-1, 9), TEXTS).map(
        lambda x: f'{{"Start":{x[0]},"End":{x[1]},"Speaker":{x[2]},"Content":"{x[3]}"}},'
    ),
    st.sampled_from(["[", "]", "{", "}", '"', ",", ":", '"Start"', '"Content":"', "null", "\\"]),
    TEXTS,
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, str]:
    """(kind, an answer in roughly its form, cut anywhere)."""
    name = draw(st.sampled_from(sorted(KINDS)))
    text = "".join(draw(st.lists(MOSS_PARTS if name == "moss" else JSON_PARTS, max_size=12)))
    return name, text[: draw(st.integers(0, len(text)))]


TURNS = st.lists(st.tuples(st.integers(0, 90_000), st.integers(1, 90_000), st.integers(0, 3)), max_size=4)


@given(answers(), st.integers(1, 100_000), TURNS)
def test_any_answer_is_read(answer: tuple[str, str], length: int, spans: list[tuple[int, int, int]]) -> None:
    """Nothing raises; segments are sorted and in the window; words are sorted, in the window, and none gets lost."""
    name, text = answer
    segments, faults = KINDS[name].parse(text)
    repaired = repair(segments, length)
    for segment in repaired.segments:
        assert 0 <= segment.start <= segment.end <= length
        assert len(segment.text) == len(segment.places)
        assert all(0 <= place < len(text) for place in segment.places)
    assert [s.start for s in repaired.segments] == sorted(s.start for s in repaired.segments)
    assert all(count > 0 for count in (faults + repaired.faults).values())
    turns = [Turn(start, min(start + size, length), speaker) for start, size, speaker in spans if start < length]
    result = attribute(repaired.segments, turns)
    for words in result.words:
        assert all(0 <= word.start <= word.end <= length for word in words)
        assert all(a.start <= b.start for a, b in pairwise(words))
    written = sum(len(split_text(segment.text, segment.places)) for segment in repaired.segments)
    assert sum(map(len, result.words)) + result.counts["words_outside"] == written
    assert not result.counts["words_outside"] or not turns or result.short
