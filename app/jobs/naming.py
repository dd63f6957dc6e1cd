"""The names of a transcript's speakers that are known people. Pure; the rule is that of `app/core/naming.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.naming import recognised
from app.core.types import FloatArray
from app.jobs.types import KnownSpeaker


def names_of(
    voices: Mapping[int, tuple[FloatArray, int]],
    known: Sequence[tuple[KnownSpeaker, FloatArray]],
    threshold: float,
) -> dict[int, str]:
    """Names for the speakers that sound like a known one."""
    found = recognised({speaker: voice for speaker, (voice, _) in voices.items()}, [v for _, v in known], threshold)
    return {speaker: known[number][0].name for speaker, number in found.items()}
