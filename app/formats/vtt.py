"""Transcript -> WebVTT with a voice span per cue (https://www.w3.org/TR/webvtt1/)."""

from __future__ import annotations

from app.core.types import TranscriptView
from app.formats.cues import Cue, to_cues
from app.formats.times import clock

# In text and in the name of a voice; with no '>' left, nothing can look like the "-->" of a timing line.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def render(view: TranscriptView) -> str:
    """Cues in the order of their starts; those of people who talk at once overlap. The header alone without words."""
    return "WEBVTT\n" + "".join(_block(cue) for cue in to_cues(view))


def _block(cue: Cue) -> str:
    text = "\n".join(line.translate(_ESCAPES) for line in cue.lines)
    return f"\n{clock(cue.start_ms, '.')} --> {clock(cue.end_ms, '.')}\n<v {cue.name.translate(_ESCAPES)}>{text}</v>\n"
