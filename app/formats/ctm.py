"""Transcript -> CTM: one word a line with its time and confidence, for scoring and alignment (NIST OpenASR20 plan)."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.types import TranscriptView, Word
from app.formats.lines import one_line
from app.formats.speakers import speaker_tokens, to_token
from app.formats.times import fixed_seconds, to_ms


def render(view: TranscriptView, *, session_id: str = "meeting") -> str:
    """Lines `session speaker start duration word confidence`, sorted by speaker and time as NIST tools want them.

    CTM has no field for the speaker; the channel is the only thing that its readers keep apart within a recording, so
    it carries the speaker's token. A word with a space inside becomes several, which share its time evenly.
    """
    session, tokens = to_token(session_id) or "meeting", speaker_tokens(view)
    rows = [
        (tokens[segment.speaker], start, end, text, word.confidence)
        for segment in view.segments
        for word in segment.words
        for start, end, text in _parts(word)
    ]
    rows.sort(key=lambda row: row[:2])
    return "".join(
        f"{session} {token} {fixed_seconds(start)} {fixed_seconds(end - start)} {text} {confidence:.3f}\n"
        for token, start, end, text, confidence in rows
    )


def _parts(word: Word) -> Iterator[tuple[int, int, str]]:
    """(start_ms, end_ms, text) of what the word holds between its spaces; nothing for an empty word."""
    texts = one_line(word.text).split()
    start, length = to_ms(word.start), to_ms(word.end) - to_ms(word.start)
    for index, text in enumerate(texts):
        yield start + length * index // len(texts), start + length * (index + 1) // len(texts), text
