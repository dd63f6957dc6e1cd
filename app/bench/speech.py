"""Who said what when, as the scorer takes it: one shape for what is known to be true and for what a system answers.

Reference files (`references.py`) and transcripts (`of_view` here) -> Speech -> scoring. Times are seconds, since all
reference formats and the metric libraries are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from app.core.times import to_seconds
from app.core.types import TranscriptView


@dataclass(frozen=True, slots=True, order=True)
class SpokenTurn:
    """One stretch of one speaker's speech, in seconds."""

    start_s: float
    end_s: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """Words of one speaker; `word_spans`: (start, end) in seconds of each white-space separated word, where known."""

    speaker: str
    start_s: float
    end_s: float
    words: str
    word_spans: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.word_spans and len(self.word_spans) != len(self.words.split()):
            raise ValueError(f"{len(self.word_spans)} word times for {len(self.words.split())} words: {self.words!r}")


@dataclass(frozen=True, slots=True)
class Speech:
    """turns: who speaks when; utterances: the words, None where only the turns are known."""

    turns: tuple[SpokenTurn, ...]
    utterances: tuple[Utterance, ...] | None = None

    @property
    def speakers(self) -> frozenset[str]:
        """Everyone who has a turn."""
        return frozenset(turn.speaker for turn in self.turns)

    @property
    def end_s(self) -> float:
        return max((turn.end_s for turn in self.turns), default=0.0)


def of_utterances(utterances: Iterable[Utterance]) -> Speech:
    """Speech whose turns are those of its utterances."""
    kept = tuple(utterances)
    turns = sorted(SpokenTurn(item.start_s, item.end_s, item.speaker) for item in kept if item.end_s > item.start_s)
    return Speech(tuple(turns), kept)


def of_view(view: TranscriptView) -> Speech:
    """A transcript as the scorer takes it. Speakers are named by number, so that two of one name stay apart."""
    turns = tuple(
        SpokenTurn(to_seconds(turn.start), to_seconds(turn.end), str(turn.speaker))
        for turn in sorted(view.turns)
        if turn.end > turn.start
    )
    utterances = []
    for segment in view.segments:
        pieces = [
            (piece, (to_seconds(word.start), to_seconds(word.end)))
            for word in segment.words
            for piece in word.text.split()
        ]
        text = " ".join(piece for piece, _ in pieces)
        start_s, end_s = to_seconds(segment.start), to_seconds(segment.end)
        utterances.append(Utterance(str(segment.speaker), start_s, end_s, text, tuple(span for _, span in pieces)))
    return Speech(turns, tuple(utterances))


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The union of spans (start, end), as spans that do not touch, in order. Empty spans are left out."""
    result: list[tuple[float, float]] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def spans_by_speaker(turns: Sequence[SpokenTurn]) -> dict[str, list[tuple[float, float]]]:
    """Each speaker's speech as spans that do not touch: a speaker who overlaps itself speaks once."""
    found: dict[str, list[tuple[float, float]]] = {}
    for turn in sorted(turns):
        found.setdefault(turn.speaker, []).append((turn.start_s, turn.end_s))
    return {speaker: merged(spans) for speaker, spans in found.items()}


@dataclass(frozen=True, slots=True)
class SpeechMap:
    """How many people speak when. `edges` (n,) float64 seconds; `active[i]` people from edge i to edge i + 1."""

    edges: npt.NDArray[np.float64] = field(repr=False)
    active: npt.NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, turns: Sequence[SpokenTurn]) -> SpeechMap:
        """The map of a meeting's turns; spans are half-open."""
        changes: dict[float, int] = {}
        for spans in spans_by_speaker(turns).values():
            for start, end in spans:
                changes[start] = changes.get(start, 0) + 1
                changes[end] = changes.get(end, 0) - 1
        edges = sorted(changes)
        steps = [changes[edge] for edge in edges]
        return cls(np.array(edges, dtype=np.float64), np.cumsum(np.array(steps, dtype=np.int64)))

    def speakers_at(self, at_s: float) -> int:
        """How many speak at a moment."""
        index = int(np.searchsorted(self.edges, at_s, side="right")) - 1
        return int(self.active[index]) if index >= 0 else 0

    def speech_within(self, at_s: float, margin_s: float) -> bool:
        """Whether anybody speaks at most `margin_s` seconds before or after a moment."""
        first = max(0, int(np.searchsorted(self.edges, at_s - margin_s, side="right")) - 1)
        last = int(np.searchsorted(self.edges, at_s + margin_s, side="right"))
        return any(
            self.active[index] > 0 and start <= at_s + margin_s and end >= at_s - margin_s
            for index, (start, end) in enumerate(pairwise(self.edges[first : last + 1]), start=first)
        )
