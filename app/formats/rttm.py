"""Transcript -> RTTM: who spoke when, without words, for scoring diarization (NIST RT-09 plan, appendix A)."""

from __future__ import annotations

from app.core.types import TranscriptView
from app.formats.speakers import speaker_tokens, to_token
from app.formats.times import fixed_seconds, to_ms


def render(view: TranscriptView, *, session_id: str = "meeting") -> str:
    """One SPEAKER line per turn, sorted by time; turns that round to 0 ms are left out. Names become one token each."""
    session, tokens = to_token(session_id) or "meeting", speaker_tokens(view)
    spans = sorted((to_ms(turn.start), to_ms(turn.end), turn.speaker) for turn in view.turns)
    return "".join(
        f"SPEAKER {session} 1 {fixed_seconds(start)} {fixed_seconds(end - start)}"
        f" <NA> <NA> {tokens[speaker]} <NA> <NA>\n"
        for start, end, speaker in spans
        if end > start
    )
