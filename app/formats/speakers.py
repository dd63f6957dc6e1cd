"""Speakers -> what formats call them: a name to show, or one token for formats of columns. Shared by all formats."""

from __future__ import annotations

import unicodedata

from app.core.types import TranscriptView
from app.formats.lines import one_line

# Words that readers of tables take for "no value" (pandas.read_csv, which pyannote.database reads RTTM with).
_NO_VALUE = {"na", "nan", "null", "none", "n_a"}


def shown_name(view: TranscriptView, speaker: int) -> str:
    """The speaker's name on one line; the default name when the given one has nothing to show."""
    return one_line(view.name(speaker)) or f"Speaker {speaker + 1}"


def all_speakers(view: TranscriptView) -> list[int]:
    """Everyone who has a segment, a turn or a name, ascending."""
    spoken = {segment.speaker for segment in view.segments} | {turn.speaker for turn in view.turns}
    return sorted(spoken | set(view.names))


def speaker_tokens(view: TranscriptView) -> dict[int, str]:
    """A name without white space for every speaker, different for different speakers.

    RTTM, CTM and SegLST tell speakers apart by these alone, so two people named Anna become "Anna" and "Anna_2".
    """
    tokens: dict[int, str] = {}
    taken: set[str] = set()
    for speaker in all_speakers(view):
        base = to_token(shown_name(view, speaker)) or f"Speaker_{speaker + 1}"
        token, count = base, 1
        while token in taken:
            count += 1
            token = f"{base}_{count}"
        taken.add(token)
        tokens[speaker] = token
    return tokens


def to_token(text: str) -> str:
    """Letters, digits, marks, '.' and '-' are kept, runs of anything else become one '_'; may be empty.

    No quotes, separators or comment signs remain, and nothing that reads as a missing value.
    """
    parts = "".join(char if _plain(char) else "_" for char in text).split("_")
    token = "_".join(part for part in parts if part).strip("_.-")
    return f"speaker_{token}" if token.lower() in _NO_VALUE else token


def _plain(char: str) -> bool:
    return char in ".-" or char.isalnum() or unicodedata.category(char).startswith("M")
