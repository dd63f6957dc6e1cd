"""The transcript as it grows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.transcript import Transcript
from app.core.types import Segment, Turn, Word

HELLO = Segment("seg_0", 0, 0, 100, (Word("Hello", 0, 100, 0.9), Word("there.", 100, 200, 0.8)))


def test_collects_and_orders() -> None:
    transcript = Transcript()
    transcript.add(replace(HELLO, id="seg_1", speaker=1))
    transcript.add(HELLO)
    transcript.add_turns([Turn(50, 100, 1)])
    transcript.add_turns([Turn(0, 100, 0)])
    view = transcript.view(1_000, "en")
    assert [segment.id for segment in view.segments] == ["seg_0", "seg_1"]
    assert view.segments[0].text == "Hello there."
    assert view.turns == (Turn(0, 100, 0), Turn(50, 100, 1))
    assert (view.duration, view.language, view.name(1)) == (1_000, "en", "Speaker 2")
    transcript.add(replace(HELLO, id="seg_2"))
    assert len(view.segments) == 2, "a view never changes"


def test_refuses_a_segment_twice() -> None:
    transcript = Transcript()
    transcript.add(HELLO)
    with pytest.raises(ValueError, match="seg_0"):
        transcript.add(HELLO)
