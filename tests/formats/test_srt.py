from __future__ import annotations

from dataclasses import replace

import pysubs2
from hypothesis import given

from app.formats.cues import to_cues
from app.formats.srt import render
from tests.formats.views import EMPTY, fuzz, meeting, segment, transcripts


def parse(text: str) -> list[tuple[int, int, str]]:
    # pysubs2 drops a last line of digits, which it takes for the number of a next cue: give it that number.
    subtitles = pysubs2.SSAFile.from_string(f"{text}\n999999\n", format_="srt")
    return [(event.start, event.end, event.plaintext) for event in subtitles]


def test_a_meeting():
    assert render(meeting()) == (
        "1\n00:00:00,420 --> 00:00:01,950\nMaya: Shall we start?\n\n"
        "2\n00:00:01,800 --> 00:00:04,310\nSpeaker 2: Yes, two points.\n"
    )
    assert render(EMPTY) == ""


def test_nothing_acts_as_markup():
    view = replace(EMPTY, segments=(segment(1, 0, ("<b>x</b>", 0, 1), ("{\\an8}-->", 1, 2)),), names={0: "<i>"})
    assert parse(render(view)) == [(0, 2000, "‹i›: ‹b›x‹/b› (⧵an8)--›")]


@fuzz
@given(transcripts())
def test_pysubs2_reads_what_was_meant(view):
    twins = str.maketrans("<>{}\\", "‹›()⧵")
    assert parse(render(view)) == [
        (cue.start_ms, cue.end_ms, "\n".join(cue.lines).translate(twins)) for cue in to_cues(view, named=True)
    ]
