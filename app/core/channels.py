"""Recordings with one speaker per channel (call centres, multi-track recorders): channels' transcripts -> one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.core.types import TranscriptView, Turn


def merge_channels(views: Sequence[TranscriptView]) -> TranscriptView:
    """Channel i becomes speaker i, whatever speakers were found within it. Segments are sorted by (start, speaker)."""
    segments = [
        replace(segment, id=f"ch{channel + 1}-{segment.id}", speaker=channel)
        for channel, view in enumerate(views)
        for segment in view.segments
    ]
    turns = {Turn(turn.start, turn.end, channel) for channel, view in enumerate(views) for turn in view.turns}
    return TranscriptView(
        duration=max(view.duration for view in views),
        language=next((view.language for view in views if view.language), None),
        segments=tuple(sorted(segments, key=lambda segment: (segment.start, segment.speaker, segment.id))),
        turns=tuple(sorted(turns)),
        names={channel: f"Channel {channel + 1}" for channel in range(len(views))},
        warnings=tuple(dict.fromkeys(warning for view in views for warning in view.warnings)),
    )
