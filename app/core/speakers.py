"""Window-local speakers -> meeting speakers, online: each window is labelled from what has been heard so far.

In: `LocalDiarization`, window by window. Out: `Labelled`, at once. Recordings may instead be labelled with everything
in view (`recluster`); the online labels are what live captions show.

Each voice run is, in this order: the meeting speaker it sounds like, if it sounds alike enough; somebody new, if it is
long enough to know a voice by; else the most similar one, with a say for the local speaker's other runs. Two local
speakers of one window never found one person together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.core.block import StreamClosed
from app.core.labelling import Names, label, longest_first, similarity
from app.core.types import FloatArray, FrameGrid, Labelled, LocalDiarization, SpeakerCount, VoiceRun


@dataclass(frozen=True, slots=True)
class TrackerRules:
    """threshold: cosine from which a voice is that of a known speaker.

    min_run_samples: a run shorter than this does not found a speaker.
    neighbour_say: how much a local speaker's name in this window counts for its other runs, as a difference of cosine.
    profile_samples: a profile forgets speech older than about this much: it follows a voice, in bounded memory.
    """

    threshold: float = 0.45
    min_run_samples: int = 24_000
    neighbour_say: float = 0.15
    profile_samples: int = 1_920_000


@dataclass(slots=True)
class _Profile:
    """Sum of a speaker's voice vectors weighted by their length; `weight` in samples."""

    total: FloatArray
    weight: float = 0.0

    def add(self, run: VoiceRun, limit: int) -> None:
        length = run.end - run.start
        self.total = self.total + run.voice * np.float32(length)
        self.weight += length
        if self.weight > limit:
            self.total = self.total * np.float32(limit / self.weight)
            self.weight = limit


class SpeakerTracker:
    """Labels windows one after the other. Memory: one profile per meeting speaker, and one number per frame so far."""

    def __init__(self, grid: FrameGrid, count: SpeakerCount, rules: TrackerRules) -> None:
        self._grid = grid
        self._rules = rules
        self._most = count.exact if count.exact is not None else count.max
        self._profiles: list[_Profile] = []
        self._names = Names(grid)
        self._closed = False

    @property
    def num_speakers(self) -> int:
        return len(self._profiles)

    def push(self, item: LocalDiarization) -> list[Labelled]:
        self._check_open()
        slots: dict[int, int] = {}
        for i in longest_first(item.runs):
            run = item.runs[i]
            speaker = self._recognise(run, slots)
            slots.setdefault(run.local_speaker, speaker)
            self._profiles[speaker].add(run, self._rules.profile_samples)
            self._names.add(run, speaker)
        return [label(item, self._names, self._grid, len(self._profiles))]

    def flush(self) -> list[Labelled]:
        self._check_open()
        self._closed = True
        return []

    def _recognise(self, run: VoiceRun, slots: dict[int, int]) -> int:
        """The speaker of a run; `slots`: local speakers of the window that have a name already."""
        voices = [similarity(profile.total, run.voice) for profile in self._profiles]
        taken = {speaker for slot, speaker in slots.items() if slot != run.local_speaker}
        best = max(voices, default=-1.0)
        sure = best >= self._rules.threshold
        long_enough = run.end - run.start >= self._rules.min_run_samples
        if not self._profiles or (not sure and long_enough and self._may_grow()):
            self._profiles.append(_Profile(np.zeros_like(run.voice)))
            return len(self._profiles) - 1
        say = self._rules.neighbour_say
        scores = [
            voice + say * (slots.get(run.local_speaker) == speaker) - say * (speaker in taken)
            for speaker, voice in enumerate(voices)
        ]
        return int(np.argmax(scores))

    def _may_grow(self) -> bool:
        return self._most is None or len(self._profiles) < self._most

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the speaker tracker was flushed")
