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
from app.core.labelling import NOBODY, Names, label, longest_first, similarity, still_active_from, unheard
from app.core.state import BadState, State, array_in, array_out
from app.core.types import FloatArray, FrameGrid, Labelled, LocalDiarization, SpeakerCount, VoiceRun

NOT_ANYBODY = -10.0
"""Below any cosine, also with what neighbours say."""


@dataclass(frozen=True, slots=True)
class TrackerRules:
    """threshold: cosine from which a voice is that of a known speaker.

    min_run_samples: a run shorter than this does not found a speaker.
    neighbour_say: how much a local speaker's name in this window counts for its other runs, as a difference of cosine.
    profile_samples: a profile forgets speech older than about this much: it follows a voice, in bounded memory.
    max_speakers: no more people at a time than this; further voices go to the nearest one.
    max_numbers: no more speakers' numbers than this, those included that later turned out to be somebody else.
    repeat: how many windows hear each stretch of speech (live windows overlap); it counts that much less in each.
    memory_samples: who spoke when is forgotten behind this much sound; None = never (recordings).
    """

    threshold: float = 0.45
    min_run_samples: int = 24_000
    neighbour_say: float = 0.15
    profile_samples: int = 1_920_000
    max_speakers: int = 64
    max_numbers: int = 256
    repeat: float = 1.0
    memory_samples: int | None = None


@dataclass(slots=True)
class _Profile:
    """Sum of a speaker's voice vectors weighted by their length; `weight` in samples."""

    total: FloatArray
    weight: float = 0.0

    def add(self, run: VoiceRun, limit: int, repeat: float) -> None:
        length = (run.end - run.start) / repeat
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
        self.heard: list[tuple[VoiceRun, int]] = []
        """The runs of the last window and whose each is."""
        self.undecided: int | None = None
        """Where in the last window somebody began whose voice is not known yet and who still speaks: more of it will
        tell who it is. None: nobody."""
        self._closed = False

    @property
    def num_speakers(self) -> int:
        return len(self._profiles)

    def push(self, item: LocalDiarization) -> list[Labelled]:
        self._check_open()
        self.heard = []
        begun: dict[int, int] = {}
        guessed: list[VoiceRun] = []
        slots: dict[int, int] = {}
        for i in longest_first(item.runs):
            run = item.runs[i]
            waits = self._waits(run, item)
            speaker = self._recognise(run, slots)
            if waits is not None:
                begun[run.local_speaker] = waits
                guessed += [run] if self._rules.repeat > 1 else []
            # Also a guess: somebody who comes back after long sounds more alike with every window.
            self._profiles[speaker].add(run, self._rules.profile_samples, self._rules.repeat)
            slots.setdefault(run.local_speaker, speaker)
            self._names.add(run, speaker)
            self.heard.append((run, speaker))
        for local in unheard(item, self._names):
            since = still_active_from(item, local, self._grid)
            if since is not None and self._several():
                begun[local] = since
        self.undecided = min(begun.values(), default=None)
        labelled = label(item, self._names, self._grid, len(self._profiles), begun)
        for run in guessed:  # the next window hears it again, and more of it
            self._names.add(run, NOBODY)
        if self._rules.memory_samples is not None:
            self._names.forget(item.end - self._rules.memory_samples)
        return [labelled]

    def voice(self, speaker: int) -> FloatArray:
        """(dim,) float32: how a speaker sounds, as a sum of voice vectors."""
        return self._profiles[speaker].total

    def weight(self, speaker: int) -> float:
        """Speech behind a speaker's profile, in samples."""
        return self._profiles[speaker].weight

    def rewrite(self, speaker: int, total: FloatArray, weight: float) -> None:
        """Replace a profile by what a later look found. A speaker without speech keeps its place, sounds like nobody
        and so is never recognised again."""
        self._profiles[speaker] = _Profile(total, weight)

    def dump(self) -> State:
        """The state as JSON values."""
        return {"profiles": [[array_out(p.total), p.weight] for p in self._profiles], "names": self._names.dump()}

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._profiles = [_Profile(array_in(total, "<f4", 1), float(weight)) for total, weight in state["profiles"]]
            self._names.restore(state["names"])
        except (KeyError, TypeError) as error:
            raise BadState("the tracker's state is damaged") from error

    def flush(self) -> list[Labelled]:
        self._check_open()
        self._closed = True
        return []

    def _knows(self, run: VoiceRun) -> bool:
        """Whether a run is long enough to know a voice by, or sounds like somebody known."""
        voices = [similarity(profile.total, run.voice) for profile in self._profiles if profile.weight > 0]
        long_enough = run.end - run.start >= self._rules.min_run_samples
        return long_enough or not self._may_grow() or max(voices, default=1.0) >= self._rules.threshold

    def _waits(self, run: VoiceRun, item: LocalDiarization) -> int | None:
        """Since when a voice that is not known yet has been speaking, if it still does: more of it will tell who it
        is."""
        since = None if self._knows(run) else still_active_from(item, run.local_speaker, self._grid)
        if since is None or since > run.start + self._grid.step:
            return None
        same = (it for it, _ in self.heard if it.local_speaker == run.local_speaker and it.start >= since)
        return None if any(map(self._knows, same)) else since

    def _recognise(self, run: VoiceRun, slots: dict[int, int]) -> int:
        """The speaker of a run; `slots`: local speakers of the window that have a name already."""
        # Who was found to be somebody else (`rewrite`) keeps the number, and is never anybody again.
        voices = [
            similarity(profile.total, run.voice) if profile.weight > 0 else NOT_ANYBODY for profile in self._profiles
        ]
        taken = {speaker for slot, speaker in slots.items() if slot != run.local_speaker}
        best = max(voices, default=NOT_ANYBODY)
        sure = best >= self._rules.threshold
        long_enough = run.end - run.start >= self._rules.min_run_samples
        if best == NOT_ANYBODY or (not sure and long_enough and self._may_grow()):
            self._profiles.append(_Profile(np.zeros_like(run.voice)))
            return len(self._profiles) - 1
        say = self._rules.neighbour_say
        scores = [
            voice + say * (slots.get(run.local_speaker) == speaker) - say * (speaker in taken)
            for speaker, voice in enumerate(voices)
        ]
        return int(np.argmax(scores))

    def _several(self) -> bool:
        """Whether somebody who speaks beside one person may be more than one other."""
        return self._may_grow() or sum(profile.weight > 0 for profile in self._profiles) > 2

    def _may_grow(self) -> bool:
        most = self._rules.max_speakers if self._most is None else min(self._most, self._rules.max_speakers)
        people = sum(profile.weight > 0 for profile in self._profiles)
        return people < most and len(self._profiles) < self._rules.max_numbers

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the speaker tracker was flushed")
