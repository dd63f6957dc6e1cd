"""Guesses of what comes next in an answer, from the turn's first-pass text (prompt lookup decoding, Saxena 2023)."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST_MATCH = 3


def guess(text: Sequence[int], written: Sequence[int], length: int) -> list[int]:
    """Tokens of `text` that may follow `written`, at most `length`; none where `written` ends in what is not in it.

    The longest match of the last one to three written tokens counts, of several the one nearest to where the answer is.
    """
    if not written:
        return list(text[: max(0, length)])
    for size in range(min(_LONGEST_MATCH, len(written)), 0, -1):
        tail = tuple(written[-size:])
        places = [end for end in range(size, len(text)) if tuple(text[end - size : end]) == tail]
        if places:
            place = min(places, key=lambda end: abs(end - len(written)))
            return list(text[place : place + max(0, length)])
    return []
