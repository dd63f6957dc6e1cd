"""Word documents, as Word and archives read them; what they are made of is looked at over HTTP."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from docx import Document

from app.formats import docx
from tests.formats.views import meeting


def test_a_document_says_what_it_is_and_not_what_the_library_is():
    properties = Document(io.BytesIO(docx.render(meeting(), "Monday " * 60))).core_properties
    assert properties.title.startswith("Monday")
    assert len(properties.title) == 255
    assert (properties.author, properties.comments) == ("Crosstalk", "")
    assert datetime.now(UTC) - properties.created.replace(tzinfo=UTC) < timedelta(hours=1)
