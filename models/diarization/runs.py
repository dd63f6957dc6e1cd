"""Speaker activity of a window -> runs: stretches in which one local speaker speaks alone, each worth a voice vector.

Between `segmentation.py` (activity) and `embedding.py` (vectors). A run may hold short silences but never a frame in
which somebody else speaks. Pure numpy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.diarization.geometry import FrameGeometry

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RunRules:
    """active: activity from which a local speaker speaks. max_gap_samples: silence that does not end a run.
    min_samples: shorter runs are not worth a vector. max_samples: longer ones are cut into equal parts, so that a
    change of speaker that the segmentation missed spoils only a part."""

    active: float = 0.5
    max_gap_samples: int = 4_800
    min_samples: int = 6_400
    max_samples: int = 64_000


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """Samples [start, end) of the window in which `local_speaker` speaks alone."""

    start: int
    end: int
    local_speaker: int


def clean_runs(activity: FloatArray, geometry: FrameGeometry, own: tuple[int, int], rules: RunRules) -> list[Run]:
    """Runs whose middle lies in `own`, in order of time.

    Args:
        activity: (frames, local_speakers) float32 in [0, 1].
        geometry: where the frames lie in the samples.
        own: samples [start, end) of the window that the window answers for.
        rules: what counts as a run.
    """
    active = activity >= rules.active
    speaking = active.sum(axis=1)
    found = []
    for speaker in range(active.shape[1]):
        alone = active[:, speaker] & (speaking == 1)
        for first, last in _joined(alone, speaking > 0, rules.max_gap_samples // geometry.step_samples):
            start, end = geometry.cells(first, last)
            found += [Run(a, b, speaker) for a, b in _parts(start, end, rules.max_samples)]
    return sorted(
        run
        for run in found
        if run.end - run.start >= rules.min_samples and own[0] <= (run.start + run.end) // 2 < own[1]
    )


def _joined(alone: BoolArray, anybody: BoolArray, max_gap: int) -> Iterator[tuple[int, int]]:
    """Frames [first, last) of the stretches of `alone`; silences of at most `max_gap` frames are part of them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], alone, [False]]).astype(np.int8))).reshape(-1, 2)
    pending: tuple[int, int] | None = None
    for first, last in edges.tolist():
        if pending is not None and first - pending[1] <= max_gap and not anybody[pending[1] : first].any():
            pending = (pending[0], last)
            continue
        if pending is not None:
            yield pending
        pending = (first, last)
    if pending is not None:
        yield pending


def _parts(start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """[start, end) in equal parts of at most `most` samples."""
    count = max(1, -(-(end - start) // most))
    borders = [start + (end - start) * i // count for i in range(count + 1)]
    yield from itertools.pairwise(borders)
