"""Second thoughts of live captions: who is who, looked at again from time to time over a bounded memory of voices.

In: the voice runs of each window with the speaker heard live, and the segments given out. Out: `Change`s: which
segments are somebody else's. The clustering is that of recordings (`clustering`); its clusters keep the numbers of the
speakers they share most speech with, so that labels do not permute. Two voices that the window in which the later one
was heard last took for two people are never one: it saw seconds on both sides of them, and says more than a second of
voice does. Memory: `max_cells` voices; when full, neighbours of one speaker become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from app.core.clustering import BoolArray, ClusterRules, IntArray, cluster, told_apart
from app.core.state import BadState, State, array_in, array_out
from app.core.times import overlap
from app.core.types import FloatArray, FrameGrid, LocalDiarization, Segment, SpeakerCount, VoiceRun

JOINED = -1
"""The number of voices that were made of several."""

_ACTIVE = 0.5
"""A local speaker says a stretch when it is active through it by at least this mean."""


@dataclass(frozen=True, slots=True)
class ReviserRules:
    """every_samples: sound between two looks. max_cells: voices remembered; max_segments: segments that may still be
    given to somebody else. threshold, sure_threshold, noise_samples, min_run_samples: as in `ReclusterRules`.
    min_speaker_samples: a cluster with less speech than this changes nothing."""

    every_samples: int = 480_000
    max_cells: int = 200
    max_segments: int = 500
    threshold: float = 0.68
    noise_samples: int = 35_200
    min_run_samples: int = 16_000
    min_speaker_samples: int = 96_000
    sure_threshold: float = 0.85


@dataclass(frozen=True, slots=True)
class Profile:
    """How a speaker sounds by now: the sum of voice vectors weighted by their length in samples."""

    speaker: int
    total: FloatArray
    weight: float


@dataclass(frozen=True, slots=True)
class Change:
    """segments: id -> its speaker now; merged: speaker that is gone -> who it was; profiles: of all who were heard."""

    segments: dict[str, int]
    merged: dict[int, int]
    profiles: tuple[Profile, ...] = field(default=())


@dataclass(slots=True)
class _Cell:
    """A voice: float16 vector (so that a snapshot of many stays small), speech in samples, whose it is.

    number: of this voice, or JOINED; apart: numbers of earlier voices that are somebody else's.
    """

    start: int
    end: int
    voice: np.ndarray
    weight: float
    speaker: int
    number: int
    apart: frozenset[int]


class Reviser:
    """Remembers voices and segments, and looks again every so often."""

    def __init__(self, grid: FrameGrid, count: SpeakerCount, rules: ReviserRules) -> None:
        self._grid = grid
        self._rules = rules
        self._count = count
        self._cells: list[_Cell] = []
        self._numbers = 0
        self._segments: list[tuple[str, int, int, int]] = []
        self._next = rules.every_samples

    def hear(self, run: VoiceRun, speaker: int, local: LocalDiarization) -> None:
        """A voice in its last hearing; `local`: the window it is of."""
        weight = run.end - run.start
        if weight < self._rules.min_run_samples:
            return
        others = ((cell.number, self._says(local, cell)) for cell in self._cells if cell.number != JOINED)
        apart = frozenset(number for number, who in others if who is not None and who != run.local_speaker)
        voice = run.voice.astype(np.float16)
        self._cells.append(_Cell(run.start, run.end, voice, weight, speaker, self._numbers, apart))
        self._numbers += 1
        if len(self._cells) > self._rules.max_cells:
            self._thin()

    def note(self, segment: Segment) -> None:
        """A segment was given out."""
        self._segments.append((segment.id, segment.start, segment.end, segment.speaker))
        self._segments = self._segments[-self._rules.max_segments :]

    def due(self, end: int) -> bool:
        """Whether it is time to look again, with the sound at `end`."""
        return end >= self._next

    def look(self, end: int) -> Change:
        """Cluster all voices anew. Blocking, some 10 ms."""
        self._next = end + self._rules.every_samples
        if len(self._cells) < 2:
            return Change({}, {})
        least = max(1, self._count.exact or self._count.min or 1)
        most = self._count.exact or self._count.max
        rules = ClusterRules(self._rules.threshold, self._rules.noise_samples, least, most, self._rules.sure_threshold)
        vectors = _units(np.stack([c.voice for c in self._cells]).astype(np.float32))
        weights = np.array([c.weight for c in self._cells], dtype=np.float32)
        labels = cluster(vectors, weights, told_apart(weights, self._apart()), rules)
        before = [c.speaker for c in self._cells]
        for cell, speaker in zip(self._cells, self._named(labels, weights), strict=True):
            cell.speaker = speaker
        return self._change(before)

    def dump(self) -> State:
        """The state as JSON values."""
        return {
            "next": self._next,
            "segments": [list(segment) for segment in self._segments],
            "cells": [[c.start, c.end, c.weight, c.speaker, c.number, sorted(c.apart)] for c in self._cells],
            "numbers": self._numbers,
            "voices": array_out(np.stack([c.voice for c in self._cells])) if self._cells else None,
        }

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            rows = [
                (int(a), int(b), float(w), int(s), int(n), frozenset(map(int, other)))
                for a, b, w, s, n, other in state["cells"]
            ]
            voices = array_in(state["voices"], "<f2", 2) if rows else np.zeros((0, 1), np.float16)
            if len(voices) != len(rows):
                raise BadState("the reviser's state is damaged")
            self._cells = [_Cell(a, b, v, w, s, n, o) for (a, b, w, s, n, o), v in zip(rows, voices, strict=True)]
            self._numbers = int(state["numbers"])
            self._segments = [(str(i), int(a), int(b), int(s)) for i, a, b, s in state["segments"]]
            self._next = int(state["next"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("the reviser's state is damaged") from error

    def _says(self, local: LocalDiarization, cell: _Cell) -> int | None:
        """Which local speaker of a window says a stretch; None when nobody does, or it is not in the window."""
        first, last = (self._frame(sample - local.start) for sample in (cell.start, cell.end))
        if cell.start < local.start or not first < last <= len(local.activity):
            return None
        active = local.activity[first:last].mean(axis=0)
        return int(active.argmax()) if active.max() >= _ACTIVE else None

    def _frame(self, samples: int) -> int:
        return max(0, (samples - self._grid.offset + self._grid.step // 2) // self._grid.step)

    def _apart(self) -> BoolArray:
        """(cells, cells): True for two voices that some window took for two people."""
        place = {cell.number: i for i, cell in enumerate(self._cells) if cell.number != JOINED}
        apart = np.zeros((len(self._cells), len(self._cells)), dtype=np.bool_)
        for i, cell in enumerate(self._cells):
            for j in (place[number] for number in cell.apart if number in place):
                apart[i, j] = apart[j, i] = True
        return apart

    def _named(self, labels: IntArray, weights: FloatArray) -> list[int]:
        """The speaker of every cell: clusters take, the largest first, the number they share most speech with."""
        speakers = np.array([c.speaker for c in self._cells])
        named = speakers.copy()
        totals = np.bincount(labels, weights=weights)
        taken: set[int] = set()
        for k in np.argsort(-totals, kind="stable").tolist():
            if totals[k] < self._rules.min_speaker_samples:
                continue
            share = np.bincount(speakers[labels == k], weights=weights[labels == k])
            ranks = [s for s in np.argsort(-share, kind="stable").tolist() if share[s] > 0 and s not in taken]
            if ranks:  # else it is part of somebody larger who already has the number: the live labels stand
                taken.add(ranks[0])
                named[labels == k] = ranks[0]
        return [int(speaker) for speaker in named]

    def _change(self, before: Sequence[int]) -> Change:
        after = [c.speaker for c in self._cells]
        merged: dict[int, int] = {}
        for gone in sorted(set(before) - set(after)):
            weights: dict[int, float] = {}
            for cell, old in zip(self._cells, before, strict=True):
                if old == gone:
                    weights[cell.speaker] = weights.get(cell.speaker, 0.0) + cell.weight
            merged[gone] = max(sorted(weights), key=lambda speaker: weights[speaker])
        changed = self._reassign(before, merged)
        if before == after:
            return Change(changed, merged)
        return Change(changed, merged, tuple(self._profile(s) for s in sorted(set(after))))

    def _reassign(self, before: Sequence[int], merged: dict[int, int]) -> dict[str, int]:
        changed: dict[str, int] = {}
        had = set(before)
        for place, (name, start, end, speaker) in enumerate(self._segments):
            votes: dict[int, int] = {}
            # A number that no voice has any more, as each was somebody else's when heard for the last time.
            orphan = speaker not in had
            for cell, old in zip(self._cells, before, strict=True):
                if old == speaker or (orphan and cell.number != JOINED):
                    shared = overlap(start, end, cell.start, cell.end)
                    votes[cell.speaker] = votes.get(cell.speaker, 0) + shared
            heard = max(sorted(votes), key=lambda s: votes[s]) if any(votes.values()) else speaker
            if orphan and 2 * votes.get(heard, 0) <= end - start:
                heard = speaker
            now = merged.get(heard, heard)
            if now != speaker:
                changed[name] = now
                self._segments[place] = (name, start, end, now)
        return changed

    def _profile(self, speaker: int) -> Profile:
        own = [c for c in self._cells if c.speaker == speaker]
        total = np.sum([c.voice.astype(np.float32) * np.float32(c.weight) for c in own], axis=0)
        return Profile(speaker, np.asarray(total, dtype=np.float32), float(sum(c.weight for c in own)))

    def _thin(self) -> None:
        """Neighbours of one speaker in the older half become one voice."""
        half = self._rules.max_cells // 2
        old, kept, last = self._cells[:half], list[_Cell](), dict[int, int]()
        for cell in old:
            place = last.pop(cell.speaker, None)
            if place is None:
                last[cell.speaker] = len(kept)
                kept.append(cell)
                continue
            first = kept[place]
            total = first.voice.astype(np.float32) * np.float32(first.weight)
            total = total + cell.voice.astype(np.float32) * np.float32(cell.weight)
            voice = _units(total[None])[0].astype(np.float16)
            kept[place] = _Cell(
                first.start, cell.end, voice, first.weight + cell.weight, cell.speaker, JOINED, frozenset()
            )
        # With as many speakers as cells nothing could be joined: the oldest go.
        self._cells = [*kept, *self._cells[half:]][-self._rules.max_cells :]


def _units(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), dtype=np.float32)
