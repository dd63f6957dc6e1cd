from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from meeteval.io import RTTM
from pyannote.database.util import load_rttm

from app.core.types import Turn
from app.formats.rttm import render
from app.formats.speakers import speaker_tokens
from app.formats.times import to_ms
from tests.formats.views import EMPTY, fuzz, meeting, transcripts


def expected(view):
    """(start_ms, end_ms, token) of every turn that lasts."""
    tokens = speaker_tokens(view)
    spans = [(to_ms(turn.start), to_ms(turn.end), tokens[turn.speaker]) for turn in view.turns]
    return sorted(span for span in spans if span[1] > span[0])


def test_a_meeting():
    assert render(meeting()) == (
        "SPEAKER meeting 1 0.420 1.530 <NA> <NA> Maya <NA> <NA>\n"
        "SPEAKER meeting 1 1.800 2.510 <NA> <NA> Speaker_2 <NA> <NA>\n"
    )
    assert render(meeting(), session_id="week 7").startswith("SPEAKER week_7 1 ")


def test_turns_that_touch_still_touch():
    view = replace(EMPTY, turns=(Turn(0, 16_009, 0), Turn(16_009, 32_008, 1)))
    lines = RTTM.parse(render(view)).lines
    assert lines[0].begin_time + lines[0].duration == lines[1].begin_time


@fuzz
@given(transcripts())
def test_meeteval_reads_it(view):
    lines = RTTM.parse(render(view)).lines
    read = [(int(it.begin_time * 1000), int((it.begin_time + it.duration) * 1000), it.speaker_id) for it in lines]
    assert sorted(read) == expected(view)
    assert [it.begin_time for it in lines] == sorted(it.begin_time for it in lines)
    assert all(isinstance(it.begin_time, Decimal) for it in lines)


@fuzz
@given(view=transcripts())
def test_pyannote_reads_it(view, tmp_path_factory):
    path = tmp_path_factory.mktemp("rttm") / "meeting.rttm"
    path.write_text(render(view), encoding="utf-8")
    annotations = load_rttm(path)
    tracks = [track for it in annotations.values() for track in it.itertracks(yield_label=True)]
    read = [(round(span.start * 1000), round(span.end * 1000), label) for span, _, label in tracks]
    assert sorted(read) == expected(view)
