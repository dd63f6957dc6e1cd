from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given

from app.formats.lines import one_line
from app.formats.txt import render
from tests.formats.views import EMPTY, fuzz, meeting, segment, transcripts


def test_a_meeting():
    assert render(meeting()) == (
        "[0:00:00.4 - 0:00:02.0] Maya: Shall we start?\n[0:00:01.8 - 0:00:04.3] Speaker 2: Yes, two points.\n"
    )


def test_nothing_said():
    assert render(EMPTY) == ""


def test_hours_and_names_on_one_line():
    late = replace(EMPTY, segments=(segment(1, 0, ("Hi", 35_999.96, 36_000.1)),), names={0: "A:\nB"})
    assert render(late) == "[10:00:00.0 - 10:00:00.1] A: B: Hi\n"


@fuzz
@given(transcripts())
def test_one_line_for_each_segment_with_words(view):
    lines = render(view).splitlines()
    assert len(lines) == sum(bool(one_line(segment.text)) for segment in view.segments)
    assert all(re.match(r"\[\d+:[0-5]\d:[0-5]\d\.\d - \d+:[0-5]\d:[0-5]\d\.\d\] .+: .", line) for line in lines)
