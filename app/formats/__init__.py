"""The finished transcript -> files. One pure function per format; this table is what the command line and REST offer.

In: a TranscriptView. Out: text. OpenAI's `text` and `json` are in openai.py alone, because here `json` is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.core.types import TranscriptView
from app.errors import OptionInvalid
from app.formats import ctm, openai, rttm, seglst, srt, transcript_json, txt, vtt

__all__ = ["FORMATS", "Format", "render"]


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a transcript. `extension`: the end of a file's name, with its dot, different for every format."""

    name: str
    media_type: str
    extension: str
    render: Callable[[TranscriptView], str]


_TEXT = "text/plain; charset=utf-8"

FORMATS: Mapping[str, Format] = {
    it.name: it
    for it in (
        Format("txt", _TEXT, ".txt", txt.render),
        Format("json", "application/json", ".json", transcript_json.render),
        Format("srt", "application/x-subrip; charset=utf-8", ".srt", srt.render),
        Format("vtt", "text/vtt; charset=utf-8", ".vtt", vtt.render),
        Format("rttm", _TEXT, ".rttm", rttm.render),
        Format("ctm", _TEXT, ".ctm", ctm.render),
        Format("seglst", "application/json", ".seglst.json", seglst.render),
        Format("verbose_json", "application/json", ".verbose.json", openai.to_verbose),
        Format("diarized_json", "application/json", ".diarized.json", openai.to_diarized),
    )
}
"""Every format by its name."""


def render(view: TranscriptView, name: str) -> str:
    """The transcript in the format of that name. Raises OptionInvalid, naming the known ones, for another name."""
    if name not in FORMATS:
        raise OptionInvalid(f"unknown format {name!r}; known: {', '.join(FORMATS)}", param="format")
    return FORMATS[name].render(view)
