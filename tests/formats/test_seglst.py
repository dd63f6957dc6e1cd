from __future__ import annotations

from decimal import Decimal

import meeteval
from hypothesis import given
from meeteval.io import SegLST

from app.formats.lines import one_line
from app.formats.seglst import render
from app.formats.speakers import speaker_tokens
from app.formats.times import to_ms
from tests.formats.views import EMPTY, fuzz, meeting, transcripts


def test_a_meeting():
    assert render(meeting()) == (
        "[\n"
        '  {"session_id": "meeting", "speaker": "Maya", "start_time": 0.42, "end_time": 1.95,'
        ' "words": "Shall we start?"},\n'
        '  {"session_id": "meeting", "speaker": "Speaker_2", "start_time": 1.8, "end_time": 4.31,'
        ' "words": "Yes, two points."}\n'
        "]\n"
    )
    assert render(EMPTY) == "[]\n"


def test_meeteval_scores_it():
    hypothesis = SegLST.parse(render(meeting(), session_id="a"))
    reference = SegLST.parse(render(meeting(), session_id="a").replace("points", "dots"))
    result = meeteval.wer.cpwer(reference, hypothesis)["a"]
    assert (result.errors, result.length) == (1, 6)


@fuzz
@given(transcripts())
def test_meeteval_reads_it(view):
    tokens = speaker_tokens(view)
    read = [
        (it["speaker"], it["start_time"], it["end_time"], it["words"]) for it in SegLST.parse(render(view)).segments
    ]
    assert read == [
        (tokens[it.speaker], Decimal(to_ms(it.start)) / 1000, Decimal(to_ms(it.end)) / 1000, one_line(it.text))
        for it in view.segments
        if one_line(it.text)
    ]
