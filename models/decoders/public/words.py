"""The text of a segment -> words with times, spread evenly by letters over the stretches in which it was said.

These models give times to segments, not to words, and have no cross-attention between text and sound from which word
times could be read as Whisper's are (`models.asr.alignment`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_LABEL = re.compile(r"\[[^\[\]\n]{1,40}\]")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word with its punctuation, and the places in the answer of the letters that it is made of."""

    text: str
    places: tuple[int, ...]


def split_text(text: str, places: Sequence[int]) -> list[TextWord]:
    """Words of a segment's text. Labels of sounds ([laughter], [Silence]) and lone punctuation are no words.

    Scripts that are written without spaces (Chinese, Japanese, Thai, ...) give one word per character.
    """
    labels = {place for match in _LABEL.finditer(text) for place in range(*match.span())}
    words: list[tuple[list[str], list[int]]] = []
    fresh = True
    for i, letter in enumerate(text):
        if i in labels or letter.isspace():
            fresh = True
            continue
        if letter == "\ufffd" or unicodedata.category(letter)[0] == "C":
            continue
        alone = _UNSPACED.match(letter) is not None and letter.isalnum()
        if fresh or not words or alone or (letter.isalnum() and _UNSPACED.match(words[-1][0][0])):
            words.append(([], []))
        fresh = False
        words[-1][0].append(letter)
        words[-1][1].append(places[i])
    return [
        TextWord("".join(letters), tuple(own))
        for letters, own in words
        if any(letter.isalnum() or unicodedata.category(letter)[0] == "S" for letter in letters)
    ]


def spread(words: Sequence[TextWord], spans: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(start, end, number of the span) of each word: the spans, put end to end, are shared out by letters.

    A word lies in one span, that of its middle. Starts and ends never fall.

    Args:
        words: in order.
        spans: (start, end) in samples, in order of time, not overlapping; at least one.
    """
    lengths = [end - start for start, end in spans]
    total, letters = sum(lengths), sum(len(word.text) + 1 for word in words)
    placed: list[tuple[int, int, int]] = []
    sofar, span, begin = 0, 0, 0
    for word in words:
        low = total * sofar // letters
        sofar += len(word.text) + 1
        high = total * sofar // letters
        while span + 1 < len(spans) and (low + high) // 2 >= begin + lengths[span]:
            begin += lengths[span]
            span += 1
        start, end = spans[span]
        placed.append((_held(start + low - begin, start, end), _held(start + high - begin, start, end), span))
    return placed


def _held(place: int, low: int, high: int) -> int:
    return min(max(place, low), high)
