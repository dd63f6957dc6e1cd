"""Window-local speakers -> meeting speakers, online: each window is labelled from what has been heard so far.

In: `LocalDiarization`, window by window. Out: `Labelled`, at once. Recordings may instead be labelled with everything
in view (`recluster`); the online labels are what live captions show.

A local speaker is, in this order: the one it shares its active frames with in the window before (`linking`), else the
meeting speaker whose voice profile is most similar and similar enough, else somebody new. Two local speakers of one
window are never the same meeting speaker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from app.core.block import StreamClosed
from app.core.linking import active_samples, link
from app.core.types import FloatArray, FrameGrid, Labelled, LocalDiarization, SpeakerCount


@dataclass(frozen=True, slots=True)
class TrackerRules:
    """threshold: cosine from which a voice is that of a known speaker.

    new_clean_samples: clean speech needed to found a new speaker by voice; with less, the most similar known one is
    taken.
    link_agreement: activity agreement (intersection over union) from which a neighbouring window's label is inherited.
    profile_samples: a profile forgets speech older than about this much, so that its memory is bounded and it follows
    a voice.
    """

    threshold: float = 0.5
    new_clean_samples: int = 24_000
    link_agreement: float = 0.5
    profile_samples: int = 1_920_000


@dataclass(slots=True)
class _Profile:
    """Sum of a speaker's voice vectors weighted by clean speech; `weight` in samples."""

    total: FloatArray
    weight: float = 0.0

    def add(self, voice: FloatArray, clean: int, limit: int) -> None:
        self.total = self.total + voice * np.float32(clean)
        self.weight += clean
        if self.weight > limit:
            self.total = self.total * np.float32(limit / self.weight)
            self.weight = limit

    def similarity(self, voice: FloatArray) -> float:
        norm = float(np.linalg.norm(self.total))
        return float(self.total @ voice) / norm if norm > 0 else 0.0


class SpeakerTracker:
    """Labels windows one after the other. Memory: one profile per meeting speaker and the last window."""

    def __init__(self, grid: FrameGrid, count: SpeakerCount, rules: TrackerRules) -> None:
        self._grid = grid
        self._rules = rules
        self._most = count.exact if count.exact is not None else count.max
        self._profiles: list[_Profile] = []
        self._last: Labelled | None = None
        self._closed = False

    @property
    def num_speakers(self) -> int:
        return len(self._profiles)

    def push(self, item: LocalDiarization) -> list[Labelled]:
        self._check_open()
        speakers = self._inherit(item)
        self._match(item, speakers)
        labelled = Labelled(item, tuple(speakers))
        for i, speaker in enumerate(speakers):
            if speaker is not None and item.clean[i]:
                self._profiles[speaker].add(item.voices[i], item.clean[i], self._rules.profile_samples)
        self._last = labelled
        return [labelled]

    def flush(self) -> list[Labelled]:
        self._check_open()
        self._closed = True
        return []

    def _inherit(self, item: LocalDiarization) -> list[int | None]:
        speakers: list[int | None] = [None] * item.activity.shape[1]
        if self._last is None:
            return speakers
        for found in link(self._last.local, item, self._grid):
            if found.agreement >= self._rules.link_agreement:
                speakers[found.later] = self._last.speakers[found.earlier]
        return speakers

    def _match(self, item: LocalDiarization, speakers: list[int | None]) -> None:
        """Fill in local speakers that the last window did not name: by voice, or as somebody new."""
        speech = active_samples(item, self._grid)
        todo = [i for i in range(len(speakers)) if speakers[i] is None and speech[i] > 0]
        free = [s for s in range(len(self._profiles)) if s not in speakers]
        if todo and free:
            scores = np.array([[self._profiles[s].similarity(item.voices[i]) for s in free] for i in todo])
            rows, columns = linear_sum_assignment(-scores)
            for row, column in zip(rows, columns, strict=True):
                founds = item.clean[todo[row]] >= self._rules.new_clean_samples and self._may_grow()
                if scores[row, column] >= self._rules.threshold or not founds:
                    speakers[todo[row]] = free[column]
        for i in todo:
            if speakers[i] is None and self._may_grow():
                speakers[i] = len(self._profiles)
                self._profiles.append(_Profile(np.zeros(item.voices.shape[1], dtype=np.float32)))

    def _may_grow(self) -> bool:
        return self._most is None or len(self._profiles) < self._most

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the speaker tracker was flushed")
