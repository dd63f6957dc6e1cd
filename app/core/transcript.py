"""The transcript as it grows: final segments, and the diarization behind them.

A segment never changes once it is here. Who is who is looked at again by app/core/reviser.py (live) and changed by
people in app/jobs/edits.py, each on values of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.core.types import Segment, TranscriptView, Turn


class Transcript:
    """Collects what a session writes."""

    def __init__(self) -> None:
        self._segments: dict[str, Segment] = {}
        self._turns: list[Turn] = []

    def add(self, segment: Segment) -> None:
        """A new final segment. Raises ValueError for an id that is already here."""
        if segment.id in self._segments:
            raise ValueError(f"segment {segment.id} is final and cannot be added again")
        self._segments[segment.id] = segment

    def add_turns(self, turns: Iterable[Turn]) -> None:
        """The diarization behind the segments."""
        self._turns += turns

    def view(self, duration: int, language: str | None) -> TranscriptView:
        """The transcript as it stands now, segments in the order of (start, speaker)."""
        return TranscriptView(
            duration=duration,
            language=language,
            segments=tuple(sorted(self._segments.values(), key=lambda s: (s.start, s.speaker, s.id))),
            turns=tuple(sorted(self._turns)),
        )
