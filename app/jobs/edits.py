"""A person's edits to a transcript: pure. Times stay where they were heard as far as the new words allow."""

from __future__ import annotations

from dataclasses import replace

from app.core.types import Segment, TranscriptView, Word
from app.errors import OptionInvalid
from app.jobs.types import Edit

MAX_NAME_CHARACTERS = 200
MAX_TEXT_CHARACTERS = 20_000


def edited(view: TranscriptView, edit: Edit) -> TranscriptView:
    """The transcript after an edit; all or nothing.

    Raises OptionInvalid for a segment or speaker that is not there, a blank or overlong name, an overlong text.
    """
    known = {segment.id for segment in view.segments}
    speakers = {segment.speaker for segment in view.segments} | {turn.speaker for turn in view.turns}
    for segment_id in (*edit.texts, *edit.speakers):
        if segment_id not in known:
            raise OptionInvalid(f"there is no segment {segment_id!r}", param=f"segments.{segment_id}")
    for speaker in (*edit.names, *edit.speakers.values()):
        if speaker not in speakers:
            raise OptionInvalid(f"there is no speaker {speaker}", param=f"speakers.{speaker}")
    names = dict(view.names)
    for speaker, name in edit.names.items():
        if name:
            names[speaker] = _name(speaker, name)
        else:
            names.pop(speaker, None)
    segments = [_segment(segment, edit) for segment in view.segments]
    kept = sorted((it for it in segments if it.words), key=lambda it: (it.start, it.speaker, it.id))
    return replace(view, segments=tuple(kept), names=names)


def _name(speaker: int, name: str) -> str:
    trimmed = " ".join(name.split())
    if not trimmed or len(trimmed) > MAX_NAME_CHARACTERS:
        raise OptionInvalid(f"a name has 1 to {MAX_NAME_CHARACTERS} characters", param=f"speakers.{speaker}")
    return trimmed


def _segment(segment: Segment, edit: Edit) -> Segment:
    if segment.id in edit.speakers:
        segment = replace(segment, speaker=edit.speakers[segment.id])
    if segment.id not in edit.texts:
        return segment
    text = edit.texts[segment.id]
    if len(text) > MAX_TEXT_CHARACTERS:
        raise OptionInvalid(f"a segment has at most {MAX_TEXT_CHARACTERS} characters", param=f"segments.{segment.id}")
    return replace(segment, words=_words(segment, text.split()))


def _words(segment: Segment, texts: list[str]) -> tuple[Word, ...]:
    """New words, sure as a person is: each at its old place when the count is the same, else evenly by length."""
    if len(texts) == len(segment.words):
        pairs = zip(texts, segment.words, strict=True)
        return tuple(old if old.text == text else replace(old, text=text, confidence=1.0) for text, old in pairs)
    total, passed, words = sum(map(len, texts)), 0, []
    for text in texts:
        start, passed = passed, passed + len(text)
        span = [segment.start + (segment.end - segment.start) * at // total for at in (start, passed)]
        words.append(Word(text, span[0], span[1], 1.0))
    return tuple(words)
