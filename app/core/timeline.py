"""Labelled windows -> the meeting's speaker activity, one value per frame and speaker.

In: `Labelled` windows in the order of time. Out: `Activity` chunks that no later window can change.
Each frame is the weighted mean of all windows that saw it, in powerset-decoded form (probability that this speaker is
active). Frames near a window's border are judged with little context and weigh less.
"""

from __future__ import annotations

import numpy as np

from app.core.block import StreamClosed
from app.core.types import Activity, FloatArray, FrameGrid, Labelled

EDGE_WEIGHT = 0.1
"""Weight of the outermost frames of a window, rising linearly to 1 over the first and last `edge` frames."""


class Timeline:
    """Averages overlapping labelled windows. Memory: the frames of about one window."""

    def __init__(self, grid: FrameGrid, edge_samples: int) -> None:
        self._grid = grid
        self._edge = max(1, edge_samples // grid.step)
        self._first = 0
        self._sum: FloatArray = np.zeros((0, 0), dtype=np.float32)
        self._weight: FloatArray = np.zeros(0, dtype=np.float32)
        self._end = 0
        self._given = 0
        self._closed = False

    def push(self, item: Labelled) -> list[Activity]:
        """Frames before the window's start are final now. Raises ValueError when the window is off the grid or goes
        back."""
        self._check_open()
        start, remainder = divmod(item.start, self._grid.step)
        if remainder or start < self._first:
            raise ValueError(f"window at sample {item.start} is off the frame grid or out of order")
        done = self._take(start - self._first, item.start)
        self._add(item)
        self._end = max(self._end, item.end)
        return done

    def flush(self) -> list[Activity]:
        self._check_open()
        self._closed = True
        # Padding behind the end of the sound is not part of the meeting.
        frames = -(-max(0, self._end - self._first * self._grid.step) // self._grid.step)
        return self._take(min(frames, len(self._weight)), self._end)

    def _take(self, frames: int, end: int) -> list[Activity]:
        frames = min(frames, len(self._weight))
        if end <= self._given or frames <= 0:
            return []
        weight = np.maximum(self._weight[:frames, None], np.float32(1e-9))
        chunk = Activity(self._first, (self._sum[:frames] / weight).astype(np.float32), end)
        self._sum, self._weight = self._sum[frames:], self._weight[frames:]
        self._first += frames
        self._given = end
        return [chunk]

    def _add(self, item: Labelled) -> None:
        frames, speakers = item.values.shape
        offset = item.start // self._grid.step - self._first
        self._grow(offset + frames, speakers)
        ramp = (np.arange(frames, dtype=np.float32) + 1) / self._edge
        weight = np.clip(np.minimum(ramp, ramp[::-1]), EDGE_WEIGHT, 1.0).astype(np.float32)
        if item.start == 0:
            weight[: frames // 2] = 1.0  # nothing came before the meeting: its first frames are no worse than others
        self._weight[offset : offset + frames] += weight
        self._sum[offset : offset + frames, :speakers] += weight[:, None] * item.values

    def _grow(self, frames: int, speakers: int) -> None:
        rows = max(0, frames - len(self._weight))
        columns = max(0, speakers - self._sum.shape[1])
        self._sum = np.pad(self._sum, ((0, rows), (0, columns)))
        self._weight = np.pad(self._weight, (0, rows))

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the timeline was flushed")
