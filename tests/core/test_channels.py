"""app/cli/channels.py: transcripts of channels become one."""

from __future__ import annotations

from app.core.channels import merge_channels
from app.core.types import Segment, TranscriptView, Turn, Word


def _view(start, text, language=None, warnings=()):
    word = Word(text, start, start + 100, 0.9)
    return TranscriptView(
        1000 + start,
        language,
        (Segment("s1", 5, start, start + 100, (word,)),),
        (Turn(start, start + 100, 5),),
        {},
        warnings,
    )


def test_channel_is_speaker_and_ids_stay_different():
    merged = merge_channels([_view(300, "late", None, ("w",)), _view(100, "early", "en", ("w",))])
    assert [(it.id, it.speaker, it.text) for it in merged.segments] == [("ch2-s1", 1, "early"), ("ch1-s1", 0, "late")]
    assert [turn.speaker for turn in merged.turns] == [1, 0]
    assert (merged.duration, merged.language, merged.warnings) == (1300, "en", ("w",))
    assert [merged.name(0), merged.name(1)] == ["Channel 1", "Channel 2"]


def test_a_silent_channel_keeps_its_number():
    silent = TranscriptView(1000, None, (), ())
    merged = merge_channels([silent, _view(100, "hello")])
    assert merged.segments[0].speaker == 1
    assert merged.names == {0: "Channel 1", 1: "Channel 2"}
