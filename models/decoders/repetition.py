"""Loops of a decoder: the same words over and over, which no speaker says."""

from __future__ import annotations

from collections.abc import Sequence

MAX_PERIOD = 12
"""Longest loop looked for, in words."""


def first_repetition(words: Sequence[str]) -> int | None:
    """Index of the word at which a loop's second round begins, None when there is no loop.

    A loop is a run of `period` words that stands at least `_rounds(period)` times in a row: people say one word four
    times ("no no no no") but not a sentence three times.
    """
    keys = ["".join(c for c in word.casefold() if c.isalnum()) for word in words]
    for start in range(len(keys)):
        for period in range(1, MAX_PERIOD + 1):
            rounds = _rounds(period)
            if start + period * rounds > len(keys):
                continue
            unit = keys[start : start + period]
            if all(keys[start + r * period : start + (r + 1) * period] == unit for r in range(1, rounds)):
                return start + period
    return None


def _rounds(period: int) -> int:
    """How often a unit of that many words must stand in a row to be a loop."""
    if period == 1:
        return 6
    return 4 if period == 2 else 3
