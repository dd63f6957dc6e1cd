"""What comes next in an answer by the turn's first-pass text: guesses to read ahead, and the token that it stands for.

Guesses: prompt lookup decoding (Saxena 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST_MATCH = 3


def guess(text: Sequence[int], written: Sequence[int], length: int) -> list[int]:
    """Tokens of `text` that may follow `written`, at most `length`; none where `written` ends in what is not in it."""
    if not written:
        return list(text[: max(0, length)])
    place = _place(text, written)
    return [] if place is None else list(text[place : place + max(0, length)])


def expected(text: Sequence[int], written: Sequence[int], end_token: int) -> int | None:
    """The token that follows `written` if the first pass is right, `end_token` at its end; None where they differ."""
    place = _place(text, written) if written else 0
    if place is None:
        return None
    return text[place] if place < len(text) else end_token


def _place(text: Sequence[int], written: Sequence[int]) -> int | None:
    """Where in `text` the answer is: behind the longest match of its last one to three tokens, the nearest of those."""
    for size in range(min(_LONGEST_MATCH, len(written)), 0, -1):
        tail = tuple(written[-size:])
        places = [end for end in range(size, len(text) + 1) if tuple(text[end - size : end]) == tail]
        if places:
            return min(places, key=lambda end: abs(end - len(written)))
    return None
