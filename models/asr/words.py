"""Tokens and their times in, words out, each with begin, end and probability. Last step of transcribing a clip."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

DecodeTokens = Callable[[Sequence[int]], str]

# Written without spaces between words: every character that is whole counts as a word.
UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
_OPENING = "\"'“¿([{-"
_CLOSING = "\"'.。,，!！?？:：”)]}、"
_SENTENCE_ENDS = ".。!！?？"
_UNFINISHED = "\ufffd"
# A word at a pause is stretched over the pause by the alignment; it is held to this many typical words.
_LONGEST_IN_TYPICAL = 2.0
_TYPICAL_AT_MOST_S = 0.7


@dataclass(frozen=True, slots=True)
class AsrWord:
    """One word with the space and punctuation that go with it. Times in seconds from the begin of the clip."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class _Span:
    """Tokens `first` to `last` - 1 read as `text`."""

    text: str
    first: int
    last: int


def make_words(
    tokens: Sequence[int],
    starts_s: Sequence[float],
    probabilities: Sequence[float],
    decode: DecodeTokens,
    language: str,
) -> tuple[AsrWord, ...]:
    """Group tokens into words.

    Args:
        tokens: ids of the text.
        starts_s: start of each token and the end of the last, so one longer than `tokens`, never decreasing.
        probabilities: of each token.
        decode: token ids -> text.
        language: code, for languages written without spaces.

    Returns:
        Words whose texts, joined, are the text; a word's probability is the mean of its tokens'.
    """
    spans = _characters(tokens, decode)
    if language not in UNSPACED_LANGUAGES:
        spans = _join_to_words(spans)
    spans = _attach_punctuation(spans)
    words = [
        AsrWord(
            text=span.text,
            start_s=float(starts_s[span.first]),
            end_s=float(starts_s[span.last]),
            probability=statistics.fmean(probabilities[span.first : span.last]),
        )
        for span in spans
    ]
    return tuple(_unstretch(words))


def _characters(tokens: Sequence[int], decode: DecodeTokens) -> list[_Span]:
    """The fewest tokens at a time that read as whole characters: a character may be cut over several tokens."""
    spans: list[_Span] = []
    first = 0
    for last in range(1, len(tokens) + 1):
        text = decode(tokens[first:last])
        if _UNFINISHED not in text or last == len(tokens):
            spans.append(_Span(text.replace(_UNFINISHED, ""), first, last))
            first = last
    return spans


def _join_to_words(spans: Sequence[_Span]) -> list[_Span]:
    """A span that begins with a space begins a word; so does one of punctuation alone, to be attached later."""
    words: list[_Span] = []
    for span in spans:
        begins = span.text.startswith(" ") or (span.text.strip() in _CLOSING and span.text.strip() != "")
        if begins or not words:
            words.append(span)
        else:
            words[-1] = _Span(words[-1].text + span.text, words[-1].first, span.last)
    return words


def _attach_punctuation(spans: Sequence[_Span]) -> list[_Span]:
    """Marks that open go to the word after them, marks that close and empty spans to the word before."""
    words: list[_Span] = []
    opening: _Span | None = None
    for span in spans:
        mark = span.text.strip()
        if opening is not None:
            span, opening = _Span(opening.text + span.text, opening.first, span.last), None
        elif span.text.startswith(" ") and len(mark) == 1 and mark in _OPENING:
            opening = span
            continue
        if words and (mark == "" or all(character in _CLOSING for character in mark)):
            words[-1] = _Span(words[-1].text + span.text, words[-1].first, span.last)
        else:
            words.append(span)
    if opening is not None:
        words.append(opening)
    return words


def _unstretch(words: list[AsrWord]) -> list[AsrWord]:
    """Cut words that the alignment stretched over a pause: the first word and those that begin a sentence lose their
    begin, those that end a sentence their end."""
    lengths = [word.end_s - word.start_s for word in words if word.end_s > word.start_s]
    if not lengths:
        return words
    longest_s = _LONGEST_IN_TYPICAL * min(statistics.median(lengths), _TYPICAL_AT_MOST_S)
    held = list(words)
    for i, word in enumerate(held):
        if word.end_s - word.start_s <= longest_s:
            continue
        start_s, end_s = word.start_s, word.end_s
        if i == 0 or held[i - 1].text.rstrip().endswith(tuple(_SENTENCE_ENDS)):
            start_s = end_s - longest_s
        elif word.text.rstrip().endswith(tuple(_SENTENCE_ENDS)):
            end_s = start_s + longest_s
        held[i] = AsrWord(word.text, start_s, end_s, word.probability)
    return held
