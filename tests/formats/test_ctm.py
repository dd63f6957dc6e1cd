from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from meeteval.io import CTM

from app.core.types import Segment, Word
from app.formats.ctm import render
from app.formats.lines import one_line
from app.formats.speakers import speaker_tokens
from app.formats.times import to_ms
from tests.formats.views import EMPTY, fuzz, meeting, transcripts


def test_a_meeting():
    assert render(meeting()).splitlines() == [
        "meeting Maya 0.420 0.380 Shall 0.900",
        "meeting Maya 0.800 0.300 we 0.900",
        "meeting Maya 1.200 0.750 start? 0.900",
        "meeting Speaker_2 1.800 0.400 Yes, 0.900",
        "meeting Speaker_2 2.300 0.200 two 0.900",
        "meeting Speaker_2 2.500 1.810 points. 0.900",
    ]


def test_a_space_inside_a_word():
    words = (Word("10\u00a0000", 0, 16_000, 0.5), Word(" ", 16_000, 16_000, 0.5))
    view = replace(EMPTY, segments=(Segment("1", 0, 0, 16_000, words),))
    assert render(view) == "meeting Speaker_1 0.000 0.500 10 0.500\nmeeting Speaker_1 0.500 0.500 000 0.500\n"


@fuzz
@given(transcripts())
def test_meeteval_reads_it(view):
    tokens = speaker_tokens(view)
    lines = CTM.parse(render(view)).lines
    for speaker, token in tokens.items():
        mine = [line for line in lines if line.channel == token]
        spoken = [word for segment in view.segments if segment.speaker == speaker for word in segment.words]
        assert sorted(line.word for line in mine) == sorted(" ".join(one_line(word.text) for word in spoken).split())
        assert [line.begin_time for line in mine] == sorted(line.begin_time for line in mine)
        shown = [word for word in spoken if one_line(word.text)]
        assert min((int(it.begin_time * 1000) for it in mine), default=None) == min(
            (to_ms(word.start) for word in shown), default=None
        )
    assert {line.channel for line in lines} <= set(tokens.values())
    assert all(0 <= float(line.confidence) <= 1 for line in lines)
