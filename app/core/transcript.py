"""The transcript as it grows: final segments, and revisions of who is who.

Text and times of a segment never change once it is here; its speaker and the speakers' names may, each time as a
revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from app.core.types import Segment, TranscriptView, Turn


class Transcript:
    """Collects what a session writes. `revision` counts every change."""

    def __init__(self) -> None:
        self._segments: dict[str, Segment] = {}
        self._turns: list[Turn] = []
        self._names: dict[int, str] = {}
        self._warnings: list[str] = []
        self.revision = 0

    def add(self, segment: Segment) -> None:
        """A new final segment. Raises ValueError for an id that is already here."""
        if segment.id in self._segments:
            raise ValueError(f"segment {segment.id} is final and cannot be added again")
        self._segments[segment.id] = segment
        self.revision += 1

    def add_turns(self, turns: Iterable[Turn]) -> None:
        """The diarization behind the segments."""
        self._turns += turns

    def reassign(self, speakers: Mapping[str, int]) -> None:
        """A revision of who said what: segment id -> speaker. All or nothing; raises KeyError naming an unknown id."""
        for segment_id in speakers:
            if segment_id not in self._segments:
                raise KeyError(segment_id)
        for segment_id, speaker in speakers.items():
            self._segments[segment_id] = replace(self._segments[segment_id], speaker=speaker)
        self.revision += 1

    def rename(self, speaker: int, name: str) -> None:
        """Give a speaker a name; an empty name takes it back. Raises ValueError for a name that is only blanks."""
        if name and not name.strip():
            raise ValueError("a speaker's name cannot be blank")
        if name:
            self._names[speaker] = name.strip()
        else:
            self._names.pop(speaker, None)
        self.revision += 1

    def warn(self, warning: str) -> None:
        """Something the reader should know about the whole, said once."""
        if warning not in self._warnings:
            self._warnings.append(warning)

    def view(self, duration: int, language: str | None) -> TranscriptView:
        """The transcript as it stands now, segments in the order of (start, speaker)."""
        return TranscriptView(
            duration=duration,
            language=language,
            segments=tuple(sorted(self._segments.values(), key=lambda s: (s.start, s.speaker, s.id))),
            turns=tuple(sorted(self._turns)),
            names=dict(self._names),
            warnings=tuple(self._warnings),
        )
