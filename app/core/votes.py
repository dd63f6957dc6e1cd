"""What the windows say of pairs of voice runs: whether they heard one local speaker in both, or two.

Windows overlap, so that most pairs of runs that are a few seconds apart lie in several windows, each of which numbered
its speakers by itself. In: windows and their runs. Out: per pair the share of windows that took it for one voice, and
for two. Used by `recluster`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.core.clustering import IntArray
from app.core.labelling import ACTIVE, NOBODY
from app.core.types import FloatArray, FrameGrid, LocalDiarization, VoiceRun


@dataclass(frozen=True, slots=True)
class Votes:
    """first, second: (pairs,) int64 runs of each pair; one, two: (pairs,) float32 share of windows that say so."""

    first: IntArray
    second: IntArray
    one: FloatArray
    two: FloatArray

    def between(self, group: IntArray, groups: int) -> tuple[FloatArray, FloatArray]:
        """(groups, groups) float32 sums of `one` and of `two` over the pairs between groups of runs.

        group: (runs,) int64, the group of each run; -1 = none.
        """
        first, second = group[self.first], group[self.second]
        known = (first >= 0) & (second >= 0) & (first != second)
        sums = []
        for share in (self.one, self.two):
            total = np.zeros((groups, groups), dtype=np.float32)
            np.add.at(total, (first[known], second[known]), share[known])
            sums.append(total + total.T)
        return sums[0], sums[1]


def votes_of(windows: Sequence[LocalDiarization], runs: Sequence[VoiceRun], grid: FrameGrid) -> Votes:
    """The votes of all windows on all pairs of runs that lie wholly in one window."""
    starts = np.array([run.start for run in runs], dtype=np.int64)
    ends = np.array([run.end for run in runs], dtype=np.int64)
    order = np.argsort(starts, kind="stable")
    starts_in_order, ends_in_order = starts[order], ends[order]
    firsts, seconds, same = [], [], []
    for local in windows:
        a, b = np.searchsorted(starts_in_order, [local.start, local.end])
        inside = order[a:b][ends_in_order[a:b] <= local.end]
        who = np.array([_says(local, int(starts[i]), int(ends[i]), grid) for i in inside], dtype=np.int64)
        inside, who = inside[who != NOBODY], who[who != NOBODY]
        i, j = np.triu_indices(len(inside), 1)
        firsts.append(np.minimum(inside[i], inside[j]))
        seconds.append(np.maximum(inside[i], inside[j]))
        same.append(who[i] == who[j])
    keys = np.concatenate([*firsts, np.zeros(0, np.int64)]) * len(runs) + np.concatenate(
        [*seconds, np.zeros(0, np.int64)]
    )
    pairs, place = np.unique(keys, return_inverse=True)
    asked = np.bincount(place, minlength=len(pairs))
    one = np.bincount(place, weights=np.concatenate([*same, np.zeros(0, np.bool_)]), minlength=len(pairs)) / asked
    return Votes(pairs // len(runs), pairs % len(runs), one.astype(np.float32), (1.0 - one).astype(np.float32))


def _says(local: LocalDiarization, start: int, end: int, grid: FrameGrid) -> int:
    """The local speaker of a window who is active through a stretch of it; -1 where nobody is."""
    first, last = ((sample - local.start - grid.offset + grid.step // 2) // grid.step for sample in (start, end))
    active = local.activity[max(0, first) : max(0, first, last - 1) + 1].mean(axis=0)
    return int(active.argmax()) if active.max() >= ACTIVE else NOBODY
