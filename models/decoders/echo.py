"""Echoes: words heard in one turn that another turn already has at the same moment; they are the same sound."""

from __future__ import annotations

from collections.abc import Sequence

from models.decoders.base import DecoderWord

REACH_SAMPLES = 6_400
"""How far apart (0.4 s) two equal words may lie and still be one sound: the precision of Whisper's word times."""


def without_echoes(words: Sequence[DecoderWord], others: Sequence[DecoderWord]) -> list[DecoderWord]:
    """Those of `words` that none of `others` says at nearly the same moment."""
    return [word for word in words if not any(_same(word, other) for other in others)]


def _same(a: DecoderWord, b: DecoderWord) -> bool:
    return abs(a.start + a.end - b.start - b.end) <= 2 * REACH_SAMPLES and _key(a.text) == _key(b.text)


def _key(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
