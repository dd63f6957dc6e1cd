"""Tokens of an answer -> words with times and confidence.

The LLM writes no times. A word that the first pass has too takes its time from there; the others share the time between
their neighbours in proportion to their letters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from models.decoders.base import DecoderWord


def split_words(
    tokens: Sequence[int], logprobs: Sequence[float], decode: Callable[[Sequence[int]], str]
) -> list[tuple[str, float]]:
    """(word, confidence) of an answer; the confidence is the geometric mean of its tokens' probabilities."""
    words: list[tuple[str, list[float]]] = []
    before = ""
    for place, logprob in enumerate(logprobs):
        text = decode(tokens[: place + 1])
        added = text[len(before) :] if text.startswith(before) else ""
        if not words or added[:1].isspace() or before[-1:].isspace():
            words.append(("", []))
        words[-1][1].append(logprob)
        before = text
    spoken = decode(tokens).split()
    groups = [own for _, own in words]
    if len(groups) != len(spoken):
        # Tokens do not end where words do (letters of several tokens, spaces within): one confidence for all.
        mean = _confidence(list(logprobs))
        return [(word, mean) for word in spoken]
    return [(word, _confidence(own)) for word, own in zip(spoken, groups, strict=True)]


def place_words(
    words: Sequence[tuple[str, float]], first_pass: Sequence[DecoderWord], start: int, end: int
) -> tuple[DecoderWord, ...]:
    """Give each word a time in the turn [start, end), in samples; times never fall.

    Args:
        words: (text, confidence) in order.
        first_pass: words of the same turn with times, in order of time.
    """
    anchors = _anchors([text for text, _ in words], first_pass)
    spans: list[tuple[int, int]] = []
    place = 0
    while place < len(words):
        if place in anchors:
            low = max(anchors[place].start, spans[-1][1] if spans else min(start, anchors[place].start))
            spans.append((low, max(low, anchors[place].end)))
            place += 1
            continue
        stop = next((i for i in range(place, len(words)) if i in anchors), len(words))
        low = spans[-1][1] if spans else start
        high = anchors[stop].start if stop in anchors else end
        spans.extend(_shared([len(text) + 1 for text, _ in words[place:stop]], low, max(low, high)))
        place = stop
    return tuple(
        DecoderWord(text, low, high, confidence) for (text, confidence), (low, high) in zip(words, spans, strict=True)
    )


def _anchors(words: Sequence[str], first_pass: Sequence[DecoderWord]) -> dict[int, DecoderWord]:
    matcher = SequenceMatcher(None, [_key(text) for text in words], [_key(word.text) for word in first_pass], False)
    return {
        block.a + offset: first_pass[block.b + offset]
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    }


def _shared(weights: Sequence[int], low: int, high: int) -> list[tuple[int, int]]:
    edges, total, sofar = [low], sum(weights), 0
    for weight in weights:
        sofar += weight
        edges.append(low + (high - low) * sofar // total)
    return list(itertools.pairwise(edges))


def _key(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _confidence(logprobs: Sequence[float]) -> float:
    return min(1.0, math.exp(math.fsum(logprobs) / len(logprobs))) if logprobs else 0.0
