"""Transcript -> SegLST: the JSON list of segments that meeteval scores (https://github.com/fgnt/meeteval)."""

from __future__ import annotations

from app.core.types import TranscriptView
from app.formats.lines import one_line
from app.formats.pretty import pretty
from app.formats.speakers import speaker_tokens, to_token
from app.formats.times import seconds


def render(view: TranscriptView, *, session_id: str = "meeting") -> str:
    """One record per segment with words. Speakers are tokens, so that two with one name are not scored as one."""
    session, tokens = to_token(session_id) or "meeting", speaker_tokens(view)
    records = [
        {
            "session_id": session,
            "speaker": tokens[segment.speaker],
            "start_time": seconds(segment.start),
            "end_time": seconds(segment.end),
            "words": one_line(segment.text),
        }
        for segment in view.segments
        if one_line(segment.text)
    ]
    return pretty(records) + "\n"
