"""Words in error: of training's evaluation, and of one text against another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer


def make_normaliser() -> Callable[[str], str]:
    """Whisper's English normaliser (openai/whisper), without its list of British spellings."""
    made: Callable[[str], str] = EnglishTextNormalizer({})  # type: ignore[no-untyped-call]
    return made


def edits(reference: Sequence[str], found: Sequence[str]) -> int:
    """Words to insert, delete or replace to turn one text into the other (Levenshtein, 1966)."""
    row = np.arange(len(found) + 1)
    for place, word in enumerate(reference, start=1):
        same = np.array([word != other for other in found], dtype=np.int64)
        best = np.minimum(row[:-1] + same, row[1:] + 1) if len(found) else row[:0]
        fresh = np.concatenate(([place], best))
        # A run of insertions: the cheapest start of one, plus its length.
        row = np.minimum.accumulate(fresh - np.arange(len(fresh))) + np.arange(len(fresh))
    return int(row[-1])
