"""Segments -> cues: pieces of text that can be read on a screen while they are spoken. Shared by SRT and WebVTT.

A cue has at most two lines of 42 columns and lasts at most 7 s (the limits of common subtitling guides).
Where a segment is cut is chosen over the whole segment at once, by dynamic programming over the costs below: ends of
sentences and pauses are good places, the middle of a phrase is a bad one.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from app.core.types import Segment, TranscriptView
from app.formats.lines import columns, one_line, shorten, split_columns
from app.formats.speakers import shown_name
from app.formats.times import to_ms

LINE_COLUMNS = 42
MAX_CUE_MS = 7000
MIN_CUE_MS = 800
"""Shorter cues stay this long where their own speaker leaves the time: a quarter of a second cannot be read."""

MAX_NAME_COLUMNS = 30
PAUSE_MS = 500
LONG_PAUSE_MS = 1500

_SENTENCE_ENDS = tuple(".?!…。？！؟۔।")
_CLAUSE_ENDS = tuple(",;:—–，、；：،؛")
_CLOSERS = "\"'”’»)]）」』"

_CUE_COST = 1.5
_CLAUSE_COST, _WORD_COST, _GLUE_COST = 1.0, 3.0, 6.0
_SENTENCE_INSIDE_COST, _PAUSE_INSIDE_COST, _LONG_PAUSE_INSIDE_COST = 0.7, 1.0, 20.0
_STRADDLE_COST = 1.0
_ORPHAN_COST, _ORPHAN_COLUMNS = 1.5, 12


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption. `end_ms` is after `start_ms`; `name` is on one line; `lines` are one or two, not escaped."""

    start_ms: int
    end_ms: int
    speaker: int
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    """A word, or a piece of one too wide for a line. `glued`: no space stands before it."""

    text: str
    start_ms: int
    end_ms: int
    glued: bool = False


def to_cues(view: TranscriptView, *, named: bool = False) -> list[Cue]:
    """All cues of a transcript by their starts. `named`: the first line opens with "Name: ", which counts in its width.

    A name too wide for that is cut with an ellipsis, in the line only.
    """
    cues = [cue for segment in view.segments for cue in _segment_cues(view, segment, named)]
    cues.sort(key=lambda cue: cue.start_ms)
    return _readable(cues, to_ms(view.duration))


def _segment_cues(view: TranscriptView, segment: Segment, named: bool) -> list[Cue]:
    tokens = _tokens(segment)
    name = shown_name(view, segment.speaker)
    label = shorten(name, MAX_NAME_COLUMNS) + ":" if named else ""
    cues = []
    for first, last in pairwise(_cuts(tokens, columns(label))):
        part = [replace(tokens[first], glued=False), *tokens[first + 1 : last]]
        start, end = min(token.start_ms for token in part), max(token.end_ms for token in part)
        cues.append(Cue(start, end, segment.speaker, name, _lines(part, label)))
    return cues


def _tokens(segment: Segment) -> list[_Token]:
    """The segment's words, those wider than a line cut into pieces that share the word's time by their width."""
    tokens = []
    for word in segment.words:
        start, length = to_ms(word.start), to_ms(word.end) - to_ms(word.start)
        for text in one_line(word.text).split():
            pieces = split_columns(text, LINE_COLUMNS)
            edges = [0, *accumulate(max(columns(piece), 1) for piece in pieces)]
            for index, (piece, (left, right)) in enumerate(zip(pieces, pairwise(edges), strict=True)):
                piece_start, piece_end = start + length * left // edges[-1], start + length * right // edges[-1]
                tokens.append(_Token(piece, piece_start, piece_end, glued=index > 0))
    return tokens


def _cuts(tokens: list[_Token], label_columns: int) -> list[int]:
    """The cheapest way to cut tokens into cues: indices from 0 to len(tokens), cue k between cuts k and k + 1."""
    plan = _Plan(tokens, label_columns)
    best, previous = [0.0], [0]
    for last in range(1, len(tokens) + 1):
        options = []
        for first in range(last - 1, -1, -1):
            if not plan.fits(first, last):
                break
            options.append((best[first] + plan.cost(first, last), first))
        cost, first = min(options)
        best.append(cost)
        previous.append(first)
    cuts = [len(tokens)]
    while cuts[-1]:
        cuts.append(previous[cuts[-1]])
    return cuts[::-1]


class _Plan:
    """What it costs to make one cue of a run of tokens, by running sums so that each question is cheap."""

    def __init__(self, tokens: list[_Token], label_columns: int) -> None:
        self._tokens = tokens
        self._label_columns = label_columns
        # edges[i]: columns of all tokens before i with the space in front of each
        self._edges = [0, *accumulate(columns(token.text) + (not token.glued) for token in tokens)]
        pairs = list(pairwise(tokens))
        self._breaks = [0.0, *(_break_cost(before, after) for before, after in pairs)]
        self._inside = [0.0, 0.0, *accumulate(_inside_cost(before, after) for before, after in pairs)]

    def fits(self, first: int, last: int) -> bool:
        """Whether tokens first:last fit a cue. One token always does."""
        if last - first == 1:
            return True
        start, end = self._tokens[first].start_ms, self._tokens[last - 1].end_ms
        return end - start <= MAX_CUE_MS and self._fits_lines(first, last)

    def _fits_lines(self, first: int, last: int) -> bool:
        # As much as can go into the first line does; the rest must fit the second. No space counts at a line's start.
        space = not self._tokens[first].glued
        room = LINE_COLUMNS - (self._label_columns + 1 if self._label_columns else 0)
        middle = min(bisect_right(self._edges, self._edges[first] + space + room) - 1, last)
        if middle == last:
            return True
        return self._edges[last] - self._edges[middle] - (not self._tokens[middle].glued) <= LINE_COLUMNS

    def cost(self, first: int, last: int) -> float:
        """Cost of the cue itself, of what is cut at its end, and of what would better have been cut inside."""
        inside = self._inside[last] - self._inside[first + 1]
        cost = _CUE_COST + inside
        if last < len(self._tokens):
            cost += self._breaks[last]
            # "... to be honest. The revenue went": a sentence begun here and cut would better begin the next cue.
            if inside and self._breaks[last] >= _WORD_COST:
                cost += _STRADDLE_COST
        whole = first == 0 and last == len(self._tokens)
        if not whole and self._edges[last] - self._edges[first] < _ORPHAN_COLUMNS:
            cost += _ORPHAN_COST
        return cost


def _break_cost(before: _Token, after: _Token) -> float:
    """How bad it is to cut between two tokens: 0 at the end of a sentence or at a pause."""
    if after.glued:
        return _GLUE_COST
    text = before.text.rstrip(_CLOSERS)
    if text.endswith(_SENTENCE_ENDS) or after.start_ms - before.end_ms >= PAUSE_MS:
        return 0.0
    return _CLAUSE_COST if text.endswith(_CLAUSE_ENDS) else _WORD_COST


def _inside_cost(before: _Token, after: _Token) -> float:
    """How bad it is not to cut between two tokens."""
    pause_ms = after.start_ms - before.end_ms
    if pause_ms >= LONG_PAUSE_MS:
        return _LONG_PAUSE_INSIDE_COST
    cost = _PAUSE_INSIDE_COST if pause_ms >= PAUSE_MS else 0.0
    if before.text.rstrip(_CLOSERS).endswith(_SENTENCE_ENDS):
        cost += _SENTENCE_INSIDE_COST
    return cost


def _lines(tokens: list[_Token], label: str) -> tuple[str, ...]:
    """One line when that is enough, else two: cut near the middle, at punctuation where that is not far."""
    if label:
        tokens = [_Token(label, tokens[0].start_ms, tokens[0].start_ms), *tokens]
    whole = _join(tokens)
    if columns(whole) <= LINE_COLUMNS:
        return (whole,)
    options = []
    for middle in range(1, len(tokens)):
        upper, lower = _join(tokens[:middle]), _join(tokens[middle:])
        widths = columns(upper), columns(lower)
        if max(widths) <= LINE_COLUMNS:
            badness = abs(widths[0] - widths[1]) + 4 * _break_cost(tokens[middle - 1], tokens[middle])
            options.append((badness, middle, (upper, lower)))
    return min(options)[2]


def _join(tokens: list[_Token]) -> str:
    return "".join(f"{'' if token.glued else ' '}{token.text}" for token in tokens).strip()


def _readable(cues: list[Cue], duration_ms: int) -> list[Cue]:
    """Let short cues stay until they can be read, their speaker's next cue starts, or the sound ends; at least 1 ms."""
    following: dict[int, int] = {}
    result = []
    for cue in reversed(cues):
        limit = min(cue.start_ms + MIN_CUE_MS, following.get(cue.speaker, duration_ms), duration_ms)
        end = max(cue.end_ms, limit, cue.start_ms + 1)
        following[cue.speaker] = cue.start_ms
        result.append(replace(cue, end_ms=end))
    return result[::-1]
