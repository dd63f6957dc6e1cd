"""The transcript and its revisions."""

from __future__ import annotations

import pytest

from app.core.transcript import Transcript
from app.core.types import Segment, Turn, Word

HELLO = Segment("seg_0", 0, 0, 100, (Word("Hello", 0, 100, 0.9), Word("there.", 100, 200, 0.8)))


def test_collects_and_revises() -> None:
    transcript = Transcript()
    transcript.add(HELLO)
    transcript.add_turns([Turn(0, 100, 0)])
    transcript.rename(0, " Maya ")
    transcript.warn("low coverage")
    transcript.warn("low coverage")
    view = transcript.view(1_000, "en")
    assert view.segments[0].text == "Hello there."
    assert (view.name(0), view.name(1)) == ("Maya", "Speaker 2")
    assert view.warnings == ("low coverage",)
    transcript.reassign({"seg_0": 1})
    assert transcript.view(1_000, "en").segments[0].speaker == 1
    assert view.segments[0].speaker == 0, "a view never changes"
    assert transcript.revision == 3
    transcript.rename(0, "")
    assert transcript.view(1_000, "en").name(0) == "Speaker 1"


def test_refuses() -> None:
    transcript = Transcript()
    transcript.add(HELLO)
    with pytest.raises(ValueError, match="seg_0"):
        transcript.add(HELLO)
    with pytest.raises(KeyError):
        transcript.reassign({"seg_0": 1, "seg_9": 1})
    assert transcript.view(1, None).segments[0].speaker == 0
    with pytest.raises(ValueError, match="blank"):
        transcript.rename(0, "  ")
