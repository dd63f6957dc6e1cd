"""What a reader should know about a transcript that was written, but not well: pure."""

from __future__ import annotations

import numpy as np

from app.core.times import SAMPLE_RATE
from app.core.types import Flag, TranscriptView

MIN_SPEECH_S = 10.0
LOW_COVERAGE = 0.6
_REACH = SAMPLE_RATE // 2


def quality_warnings(view: TranscriptView) -> tuple[str, ...]:
    """Warnings about segments that may be cut short or repeat themselves, and about speech without words."""
    found = []
    for flag, text in ((Flag.POSSIBLY_TRUNCATED, "may be cut short"), (Flag.REPETITION, "may repeat themselves")):
        count = sum(flag in segment.flags for segment in view.segments)
        if count:
            found.append(f"{count} of {len(view.segments)} segments {text}")
    speech = sum(turn.end - turn.start for turn in view.turns)
    share = coverage(view)
    if speech >= MIN_SPEECH_S * SAMPLE_RATE and share < LOW_COVERAGE:
        found.append(f"words were written for {share:.0%} of the speech that was found")
    return tuple(found)


def coverage(view: TranscriptView) -> float:
    """The share of all speakers' time of speech that lies within half a second of one of their words; 1 without any."""
    covered = total = 0
    words: dict[int, list[tuple[int, int]]] = {}
    for segment in view.segments:
        words.setdefault(segment.speaker, []).extend((word.start, word.end) for word in segment.words)
    for speaker in sorted({turn.speaker for turn in view.turns}):
        heard = np.zeros(view.duration // _REACH + 2, np.bool_)
        written = np.zeros_like(heard)
        for turn in view.turns:
            if turn.speaker == speaker:
                heard[turn.start // _REACH : -(-turn.end // _REACH)] = True
        for start, end in words.get(speaker, []):
            written[max(0, start // _REACH - 1) : end // _REACH + 2] = True
        covered += int((heard & written).sum())
        total += int(heard.sum())
    return covered / total if total else 1.0
