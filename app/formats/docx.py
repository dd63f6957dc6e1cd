"""Transcript -> a Word document: one paragraph per segment, its time and speaker in front."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from docx import Document
from docx.opc.coreprops import CoreProperties

from app.core.types import TranscriptView
from app.formats.lines import one_line
from app.formats.speakers import shown_name
from app.formats.times import short_clock

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_MOST_PROPERTY = 255
"""Characters that a property of an Office document may have."""


def render(view: TranscriptView, title: str = "Transcript") -> bytes:
    """The file's bytes; segments without words are left out."""
    document = Document()
    _describe(document.core_properties, _legal(title))
    document.add_heading(_legal(title), level=1)
    for warning in view.warnings:
        document.add_paragraph().add_run(_legal(f"Note: {warning}")).italic = True
    for segment in view.segments:
        text = one_line(segment.text)
        if text:
            paragraph = document.add_paragraph()
            paragraph.add_run(f"[{short_clock(segment.start)}] ")
            paragraph.add_run(_legal(f"{shown_name(view, segment.speaker)}: ")).bold = True
            paragraph.add_run(_legal(text))
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def _describe(properties: CoreProperties, title: str) -> None:
    """What file managers and archives show; the library's template says that it wrote the file, in 2013."""
    properties.title, properties.author, properties.comments = title[:_MOST_PROPERTY], "Crosstalk", ""
    properties.created = properties.modified = datetime.now(UTC)


def _legal(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(c for c in text if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
