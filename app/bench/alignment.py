"""Words with times: where the words of an utterance lie, and which reference word each written word stands for.

Utterances -> timed words -> pairs (reference word, hypothesis word). Used to say where cpWER's errors stand. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.bench.speech import Utterance

Normalizer = Callable[[str], str]
Pair = tuple[int | None, int | None]
"""Indices of a reference and a hypothesis word; None on one side: an insertion or a deletion."""

_ERROR_COST = 1 << 40
_MAX_DISTANCE_MS = 100_000
_DIAGONAL, _DELETION, _INSERTION = 0, 1, 2


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A normalised word and the middle of it, in seconds."""

    text: str
    at_s: float


def timed_words(utterances: Iterable[Utterance], normalize: Normalizer) -> list[TimedWord]:
    """The normalised words of one speaker's utterances, utterances in order of their starts.

    A normalised word need not be one of the written words ("twenty one" -> "21"), so it is placed by its characters:
    the k-th of n characters lies at the same share of the written text, whose words lie where `word_spans` says;
    without those, characters are spread evenly over the utterance (meeteval's 'character_based' word times).
    """
    ordered = sorted(utterances, key=lambda item: item.start_s)
    return [word for utterance in ordered for word in _timed(utterance, normalize(utterance.words).split())]


def _timed(utterance: Utterance, words: Sequence[str]) -> list[TimedWord]:
    if not words:
        return []
    spans = np.array(utterance.word_spans or [(utterance.start_s, utterance.end_s)], dtype=np.float64)
    written = utterance.words.split() if utterance.word_spans else ["".join(utterance.words.split())]
    edges = np.cumsum([0, *map(len, written)], dtype=np.float64)
    ends = np.cumsum([len(word) for word in words], dtype=np.float64)
    middles = (ends - np.array([len(word) for word in words]) / 2) / ends[-1] * edges[-1]
    holder = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, len(spans) - 1)
    share = (middles - edges[holder]) / (edges[holder + 1] - edges[holder])
    at_s = spans[holder, 0] + share * (spans[holder, 1] - spans[holder, 0])
    return [TimedWord(word, float(at)) for word, at in zip(words, at_s, strict=True)]


def align(reference: Sequence[TimedWord], hypothesis: Sequence[TimedWord]) -> list[Pair]:
    """An alignment with the fewest errors (Levenshtein) and, among those, the least distance in time between paired
    words, in order. Time O(n m), memory n m bytes.

    Without the second rule the pairing of repeated words ("no no no") would be arbitrary, and with it the place of
    the error.
    """
    numbers: dict[str, int] = {}
    left = _numbered(reference, numbers)
    right = _numbered(hypothesis, numbers)
    left_ms, right_ms = _milliseconds(reference), _milliseconds(hypothesis)
    insertions = np.arange(len(right) + 1, dtype=np.int64) * _ERROR_COST
    cost = insertions.copy()
    steps = np.full((len(left) + 1, len(right) + 1), _INSERTION, dtype=np.uint8)
    for row in range(len(left)):
        distance = np.minimum(np.abs(right_ms - left_ms[row]), _MAX_DISTANCE_MS)
        diagonal = cost[:-1] + (right != left[row]) * _ERROR_COST + distance
        deletion = cost + _ERROR_COST
        best = deletion.copy()
        best[1:] = np.minimum(diagonal, deletion[1:])
        cost = np.minimum.accumulate(best - insertions) + insertions
        taken = np.full(len(right) + 1, _DELETION, dtype=np.uint8)
        taken[1:][diagonal <= deletion[1:]] = _DIAGONAL
        taken[cost < best] = _INSERTION
        steps[row + 1] = taken
    return _trace(steps)


def _trace(steps: npt.NDArray[np.uint8]) -> list[Pair]:
    """The path from the last corner of the table back to the first, turned round."""
    row, column = steps.shape[0] - 1, steps.shape[1] - 1
    pairs: list[Pair] = []
    while row or column:
        step = steps[row, column]
        if step == _INSERTION:
            column -= 1
            pairs.append((None, column))
        elif step == _DELETION:
            row -= 1
            pairs.append((row, None))
        else:
            row, column = row - 1, column - 1
            pairs.append((row, column))
    return pairs[::-1]


def _numbered(words: Sequence[TimedWord], numbers: dict[str, int]) -> npt.NDArray[np.int64]:
    return np.array([numbers.setdefault(word.text, len(numbers)) for word in words], dtype=np.int64)


def _milliseconds(words: Sequence[TimedWord]) -> npt.NDArray[np.int64]:
    return np.array([round(word.at_s * 1000) for word in words], dtype=np.int64)
