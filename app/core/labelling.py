"""Labelled voice runs -> the meeting speaker of every local speaker at every frame of a window.

The diarization model numbers speakers anew in every window, and within ten seconds of quick talk it may give two
people one number. So a name is not given to a local speaker of a window as a whole but stretch by stretch, from the
voice runs, which are short and clean. Frames without a run of their own (overlap, very short speech) take the name
that the same local speaker has nearest in time; two people who are active at once are never the same one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.state import BadState, State, array_in, array_out
from app.core.types import FloatArray, FrameGrid, Labelled, LocalDiarization, VoiceRun

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ACTIVE = 0.5
"""A local speaker is active in a frame when its activity is at least this."""

NOBODY = -1
STILL_FRAMES = 2
"""Speech of fewer frames at the end of a window is too little to say that somebody goes on."""

OTHER_STRETCH = 1_000
"""Evidence from another stretch of speech counts as this many frames further away."""


class Names:
    """Who was recognised when: the labels of voice runs laid out on the meeting's frame grid."""

    def __init__(self, grid: FrameGrid) -> None:
        self._grid = grid
        self._frames: IntArray = np.full(0, NOBODY, dtype=np.int64)
        self._base = 0
        self._last: dict[int, int] = {}

    def add(self, run: VoiceRun, speaker: int) -> None:
        """Write a run's speaker over its frames."""
        first, last = (max(0, self._frame(sample) - self._base) for sample in (run.start, run.end))
        if last > len(self._frames):
            grown = np.full(max(last, 2 * len(self._frames)), NOBODY, dtype=np.int64)
            grown[: len(self._frames)] = self._frames
            self._frames = grown
        self._frames[first:last] = speaker

    def within(self, start: int, frames: int) -> IntArray:
        """Speakers of the frames of a window that starts at sample `start`, (frames,) int64, NOBODY where unknown."""
        first = start // self._grid.step - self._base
        found = self._frames[max(0, first) : max(0, first + frames)]
        before = min(frames, max(0, -first))
        return np.pad(found, (before, frames - before - len(found)), constant_values=NOBODY)

    def nearest(self, frame: int, but: Sequence[int] = ()) -> int:
        """The speaker recognised nearest to a frame of the meeting, other than `but`; NOBODY when there is none."""
        known = np.flatnonzero((self._frames != NOBODY) & ~np.isin(self._frames, list(but)))
        if len(known):
            return int(self._frames[known[np.abs(known + self._base - frame).argmin()]])
        earlier = [(last, speaker) for speaker, last in self._last.items() if speaker not in but]
        return max(earlier)[1] if earlier else NOBODY

    def forget(self, before: int) -> None:
        """Keep of everything before a sample only when each speaker was last recognised: bounds the memory."""
        count = min(len(self._frames), max(0, self._frame(before) - self._base))
        gone = self._frames[:count]
        for speaker in np.unique(gone[gone != NOBODY]).tolist():
            self._last[speaker] = self._base + int(np.flatnonzero(gone == speaker)[-1])
        self._frames = self._frames[count:].copy()
        self._base += count

    def dump(self) -> State:
        """The state as JSON values."""
        return {"base": self._base, "frames": array_out(self._frames), "last": sorted(self._last.items())}

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._base = int(state["base"])
            self._last = {int(speaker): int(last) for speaker, last in state["last"]}
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("the names' state is damaged") from error
        self._frames = array_in(state.get("frames"), "<i8", 1)

    def _frame(self, sample: int) -> int:
        return max(0, (sample - self._grid.offset + self._grid.step // 2) // self._grid.step)


def label(
    local: LocalDiarization,
    names: Names,
    grid: FrameGrid,
    num_speakers: int,
    begun: Mapping[int, int] | None = None,
) -> Labelled:
    """The window's activity by meeting speaker: values (frames, num_speakers).

    begun: local speakers whose voice is not known yet, with the sample from which each has been speaking.
    """
    active = local.activity >= ACTIVE
    alone = active & (active.sum(axis=1, keepdims=True) == 1)
    heard = names.within(local.start, len(active))
    first = local.start // grid.step
    who = np.stack([_spread(active[:, i], alone[:, i], heard) for i in range(active.shape[1])], axis=1)
    _name_the_unheard(who, active, names, first)
    _part(who, active, alone, names, first)
    values = np.zeros((len(active), num_speakers), dtype=np.float32)
    for i in range(who.shape[1]):
        for speaker in np.unique(who[:, i]):
            if speaker != NOBODY:
                rows = who[:, i] == speaker
                values[rows, speaker] = np.maximum(values[rows, speaker], local.activity[rows, i])
    unsure = None
    if begun:
        rows = {i: np.arange(len(active)) >= sample // grid.step - first for i, sample in begun.items()}
        unsure = _unsure(who, active, rows, num_speakers)
    return Labelled(local.start, local.end, values, unsure)


def unheard(local: LocalDiarization, names: Names) -> list[int]:
    """Local speakers of whom no clean speech was recognised: they only spoke while somebody else did, or too little."""
    active = local.activity >= ACTIVE
    alone = active & (active.sum(axis=1, keepdims=True) == 1)
    heard = names.within(local.start, len(active)) != NOBODY
    return [i for i in range(active.shape[1]) if active[:, i].any() and not (alone[:, i] & heard).any()]


def _unsure(who: IntArray, active: BoolArray, rows: Mapping[int, BoolArray], num_speakers: int) -> BoolArray:
    """(frames, num_speakers): whom somebody unknown who speaks there, in `rows` of the local speaker, may be: anybody
    but those who are known to speak at that moment."""
    somebody = np.zeros(len(active), dtype=np.bool_)
    besides = np.zeros((len(active), num_speakers), dtype=np.bool_)
    for i in range(active.shape[1]):
        guessed = active[:, i] & rows[i] if i in rows else np.zeros(len(active), dtype=np.bool_)
        somebody |= guessed
        known = np.flatnonzero(active[:, i] & ~guessed & (who[:, i] != NOBODY))
        besides[known, who[known, i]] = True
    return somebody[:, None] & ~besides


def still_active_from(local: LocalDiarization, local_speaker: int, grid: FrameGrid) -> int | None:
    """Where a stretch of speech that goes on at the end of a window's sound began, in samples; None without one."""
    frames = max(0, (local.end - local.start - grid.offset) // grid.step + 1)
    silent = np.flatnonzero(local.activity[:frames, local_speaker] < ACTIVE)
    first = int(silent[-1]) + 1 if len(silent) else 0
    return None if first >= frames - STILL_FRAMES else local.start + first * grid.step


def _spread(active: BoolArray, alone: BoolArray, heard: IntArray) -> IntArray:
    """Every frame of one local speaker takes the name heard nearest, first of all in the same stretch of speech."""
    frames = np.arange(len(active))
    known = np.flatnonzero(alone & (heard != NOBODY))
    if len(known) == 0:
        return np.full(len(active), NOBODY, dtype=np.int64)
    stretch = np.cumsum(np.diff(active.astype(np.int8), prepend=np.int8(0)) != 0)
    after = np.searchsorted(known, frames)
    left, right = known[np.clip(after - 1, 0, None)], known[np.clip(after, None, len(known) - 1)]
    left_far = np.abs(frames - left) + OTHER_STRETCH * (stretch[left] != stretch)
    right_far = np.abs(frames - right) + OTHER_STRETCH * (stretch[right] != stretch)
    return heard[np.where(left_far <= right_far, left, right)]


def _name_the_unheard(who: IntArray, active: BoolArray, names: Names, first: int) -> None:
    """A local speaker without any clean speech is the person nearest in time who is not speaking besides."""
    for i in range(who.shape[1]):
        if active[:, i].any() and (who[:, i] == NOBODY).all():
            besides = set(who[active[:, i]][:, [j for j in range(who.shape[1]) if j != i]].ravel().tolist()) - {NOBODY}
            middle = first + int(np.flatnonzero(active[:, i]).mean())
            found = names.nearest(middle, tuple(besides))
            who[:, i] = found if found != NOBODY else names.nearest(middle)


def _part(who: IntArray, active: BoolArray, alone: BoolArray, names: Names, first: int) -> None:
    """Where two local speakers are active at once under one name, one of them is somebody else."""
    for i in range(who.shape[1]):
        for j in range(i + 1, who.shape[1]):
            clash = active[:, i] & active[:, j] & (who[:, i] == who[:, j]) & (who[:, i] != NOBODY)
            edges = np.flatnonzero(np.diff(np.concatenate([[False], clash, [False]]).astype(np.int8)))
            for begin, end in edges.reshape(-1, 2).tolist():
                shared = int(who[begin, i])
                options = [(*_second_name(who[:, k], alone[:, k], shared), k) for k in (i, j)]
                weight, other, k = max(options)
                if weight == 0:
                    other, k = names.nearest(first + (begin + end) // 2, (shared,)), j
                if other != NOBODY:
                    who[begin:end, k] = other


def _second_name(who: IntArray, alone: BoolArray, shared: int) -> tuple[int, int]:
    """(frames, name) of whom else this local speaker was heard as in the window; (0, NOBODY) when nobody else."""
    others = who[alone & (who != shared) & (who != NOBODY)]
    if len(others) == 0:
        return 0, NOBODY
    counts = np.bincount(others)
    return len(others), int(counts.argmax())


def to_labelled(
    windows: Sequence[LocalDiarization], speakers: Sequence[Sequence[int]], grid: FrameGrid
) -> Iterator[Labelled]:
    """All windows of a recording, given the speaker of every voice run of every window (same order as `runs`)."""
    names = Names(grid)
    for local, row in zip(windows, speakers, strict=True):
        for run, speaker in zip(local.runs, row, strict=True):
            names.add(run, speaker)
    count = 1 + max((speaker for row in speakers for speaker in row), default=-1)
    for local in windows:
        yield label(local, names, grid, count)


def longest_first(runs: Sequence[VoiceRun]) -> list[int]:
    """Indices of runs, the longest (and so the surest) first; equals in order of time."""
    return sorted(range(len(runs)), key=lambda i: (runs[i].start - runs[i].end, runs[i].start))


def similarity(mean: FloatArray, voice: FloatArray) -> float:
    """Cosine of a sum of voice vectors with one voice vector; 0 for an empty sum."""
    norm = float(np.linalg.norm(mean))
    return float(mean @ voice) / norm if norm > 0 else 0.0
