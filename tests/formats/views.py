"""Transcripts for the tests of the formats: random ones full of what breaks files, and a small meeting to look at."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from app.core.times import to_samples
from app.core.types import Flag, Segment, TranscriptView, Turn, Word

# No deadline and no "too slow": how long a sample takes says more about the machine's load than about the code.
fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HOUR = 3600 * 16_000

NASTY = [
    "",
    " ",
    "-->",
    "<i>x</i>",
    "</v>",
    "<v Bob>",
    "&amp;",
    "&",
    "a\nb",
    "a\n\nb",
    "\r",
    "\u2028",
    "\u00a0",
    "\x00",
    "{\\an8}",
    "\\N",
    '"quoted',
    "'",
    "#",
    ";;",
    "NA",
    "<NA>",
    "null",
    "2020",
    "NOTE",
    "WEBVTT",
    "שלום,",
    "مرحبا؟",
    "你好。",
    "नमस्ते",
    "👩‍👩‍👧",
    "e\u0301",
    "x" * 43,
    "语" * 50,
    "pneumono" * 20 + ".",
    "so.",
    "well,",
]

texts = st.sampled_from(NASTY) | st.text(alphabet="abc,.? ", min_size=1, max_size=12) | st.text(max_size=6)
names = st.sampled_from([*NASTY, "Anna", "Anna ", "A", "B", "Speaker 2", "Maya: CEO"]) | st.text(max_size=40)


@st.composite
def segments(draw: st.DrawFn, number: int) -> Segment:
    start = draw(st.integers(0, 3 * 16_000) | st.integers(HOUR - 100_000, HOUR + 100_000))
    time = start
    words = []
    for text in draw(st.lists(texts, max_size=25)):
        time += draw(st.sampled_from([0, 0, 7, 800, 9_000, 40_000]))
        end = time + draw(st.sampled_from([0, 1, 3_200, 8_005, 30_000]))
        words.append(Word(text, time, end, draw(st.floats(0, 1))))
        time = end
    flags = draw(st.frozensets(st.sampled_from(Flag)))
    return Segment(f"seg-{number}", draw(st.integers(0, 4)), start, time, tuple(words), flags)


@st.composite
def transcripts(draw: st.DrawFn, max_segments: int = 6) -> TranscriptView:
    """Views as the session makes them: sorted segments and turns, words in order, everything within the duration."""
    count = draw(st.integers(0, max_segments))
    spoken = sorted((draw(segments(number)) for number in range(count)), key=lambda it: (it.start, it.speaker))
    turns = sorted(Turn(it.start, it.end, it.speaker) for it in spoken)
    duration = max((it.end for it in spoken), default=0) + draw(st.integers(0, 50_000))
    given_names = draw(st.dictionaries(st.integers(0, 5), names, max_size=6))
    warnings = tuple(draw(st.lists(texts, max_size=2)))
    language = draw(st.sampled_from([None, "en", "yue", "xx"]))
    return TranscriptView(duration, language, tuple(spoken), tuple(turns), given_names, warnings)


EMPTY = TranscriptView(duration=0, language=None, segments=(), turns=())


def segment(number: int, speaker: int, *words: tuple[str, float, float]) -> Segment:
    """A segment of (text, start_s, end_s) words, all with confidence 0.9."""
    spoken = tuple(Word(text, to_samples(start), to_samples(end), 0.9) for text, start, end in words)
    return Segment(f"seg-{number}", speaker, spoken[0].start, spoken[-1].end, spoken)


def meeting() -> TranscriptView:
    """Two people, the second unnamed, who talk at once from 1.8 s to 1.95 s."""
    spoken = (
        segment(1, 0, ("Shall", 0.42, 0.8), ("we", 0.8, 1.1), ("start?", 1.2, 1.95)),
        segment(2, 1, ("Yes,", 1.8, 2.2), ("two", 2.3, 2.5), ("points.", 2.5, 4.3104)),
    )
    turns = tuple(Turn(it.start, it.end, it.speaker) for it in spoken)
    return TranscriptView(to_samples(12.48), "en", spoken, turns, {0: "Maya"})
