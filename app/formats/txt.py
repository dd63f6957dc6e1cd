"""Transcript -> text for people: one line per segment with its times and its speaker."""

from __future__ import annotations

from app.core.types import Segment, TranscriptView
from app.formats.lines import one_line
from app.formats.speakers import shown_name
from app.formats.times import short_clock


def render(view: TranscriptView) -> str:
    """Lines like `[0:00:04.2 - 0:00:07.9] Maya: Shall we start?` by time; segments without words are left out."""
    return "".join(_line(view, segment) for segment in view.segments if one_line(segment.text))


def _line(view: TranscriptView, segment: Segment) -> str:
    times = f"[{short_clock(segment.start)} - {short_clock(segment.end)}]"
    return f"{times} {shown_name(view, segment.speaker)}: {one_line(segment.text)}\n"
