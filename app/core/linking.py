"""Which local speakers of two overlapping windows are the same person, judged by when they speak.

Two windows that share sound show the same people twice. A local speaker of one and a local speaker of the other that
are active at the same frames of the shared sound are one person, without asking the voice vectors. This is the
strongest evidence there is between neighbouring windows, and it also works where the voice is too short or too
overlapped for a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from app.core.types import FloatArray, FrameGrid, LocalDiarization

ACTIVE = 0.5
"""A local speaker is active in a frame when its activity is at least this."""


@dataclass(frozen=True, slots=True)
class Link:
    """Local speaker `earlier` of the earlier window is local speaker `later` of the later one.

    agreement: shared active time / united active time, in [0, 1]; shared: samples in which both are active.
    """

    earlier: int
    later: int
    agreement: float
    shared: int


def link(earlier: LocalDiarization, later: LocalDiarization, grid: FrameGrid) -> list[Link]:
    """One-to-one links with the highest total agreement over the sound that both windows hold.

    Only pairs that are active together at all are returned; the caller decides how much agreement is enough.
    Windows must start on the frame grid (a difference that is a multiple of `grid.step`).
    """
    first, second = shared_activity(earlier, later, grid)
    if len(first) == 0:
        return []
    first_on = (first >= ACTIVE).astype(np.float64)
    second_on = (second >= ACTIVE).astype(np.float64)
    both = first_on.T @ second_on  # (local_speakers, local_speakers) frames
    either = first_on.sum(0)[:, None] + second_on.sum(0)[None, :] - both
    agreement = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    rows, columns = linear_sum_assignment(-agreement)
    return [
        Link(int(i), int(j), float(agreement[i, j]), int(both[i, j]) * grid.step)
        for i, j in zip(rows, columns, strict=True)
        if both[i, j] > 0
    ]


def shared_activity(
    earlier: LocalDiarization, later: LocalDiarization, grid: FrameGrid
) -> tuple[FloatArray, FloatArray]:
    """The two windows' activity over the frames that both hold, each (shared_frames, local_speakers)."""
    shift = (later.start - earlier.start) // grid.step
    frames = max(0, min(len(earlier.activity) - shift, len(later.activity)))
    return earlier.activity[shift : shift + frames], later.activity[:frames]


def active_samples(local: LocalDiarization, grid: FrameGrid) -> NDArray[np.int64]:
    """Samples for which each local speaker is active, (local_speakers,)."""
    return np.asarray((local.activity >= ACTIVE).sum(axis=0), dtype=np.int64) * grid.step
