"""Transcript -> SubRip subtitles, every cue opened by its speaker's name."""

from __future__ import annotations

from app.core.types import TranscriptView
from app.formats.cues import Cue, to_cues
from app.formats.times import clock

# SubRip has tags (<i>, {\an8}) but no way to escape them: the signs that players act upon are shown by their twins.
_TWINS = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")", "\\": "⧵"})


def render(view: TranscriptView) -> str:
    """Numbered cues in the order of their starts; those of people who talk at once overlap. Empty without words."""
    return "\n".join(_block(number, cue) for number, cue in enumerate(to_cues(view, named=True), start=1))


def _block(number: int, cue: Cue) -> str:
    text = "\n".join(line.translate(_TWINS) for line in cue.lines)
    return f"{number}\n{clock(cue.start_ms, ',')} --> {clock(cue.end_ms, ',')}\n{text}\n"
