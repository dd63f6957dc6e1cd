"""Frames -> overlapping windows for the diarization model. The first step after `audio/`.

In: `Frames`, contiguous. Out: `Window`s of a fixed length at a fixed step. The flush adds one that ends with the
sound, so that the last words are heard with as much context as all others.
"""

from __future__ import annotations

import numpy as np

from app.core.block import StreamClosed
from app.core.types import FloatArray, Frames, Window


class Windower:
    """Cuts a stream of frames into windows of `window_samples`, one every `step_samples`; starts are multiples of
    `grid`.

    Every sample lies in at least one window, and in the own part of exactly one. A stream shorter than one window
    gives a single padded window at the flush; an empty stream gives none. Memory: two windows plus one push.
    """

    def __init__(self, window_samples: int, step_samples: int, grid: int = 1) -> None:
        """Raises ValueError unless 0 < step_samples <= window_samples and the step is a multiple of the grid."""
        if not 0 < step_samples <= window_samples or step_samples % grid:
            raise ValueError(f"step_samples must be a multiple of {grid} up to {window_samples}, not {step_samples}")
        self._window = window_samples
        self._step = step_samples
        self._grid = grid
        self._buffer: FloatArray = np.zeros(0, dtype=np.float32)
        self._buffer_start = 0
        self._next_start = 0
        self._index = 0
        self._owned = 0
        self._closed = False

    def push(self, item: Frames) -> list[Window]:
        """Raises ValueError when frames are not contiguous: a gap would shift every later time."""
        self._check_open()
        expected = self._buffer_start + len(self._buffer)
        if item.start != expected:
            raise ValueError(f"frames start at sample {item.start}, expected {expected}")
        self._buffer = np.concatenate([self._buffer, item.samples])
        end = self._buffer_start + len(self._buffer)
        windows = []
        while self._next_start + self._window <= end:
            # A window answers for the sound around its centre, up to half a step beyond.
            windows.append(self._cut(self._next_start, self._next_start + (self._window + self._step) // 2))
            self._next_start += self._step
        # The sound since the last window's start may be needed again by the last window of all.
        self._drop(self._next_start - self._step if self._index else 0)
        return windows

    def flush(self) -> list[Window]:
        self._check_open()
        self._closed = True
        end = self._buffer_start + len(self._buffer)
        if end <= self._owned:
            return []
        earliest = max(0, end - self._window)
        return [self._cut(-(-earliest // self._grid) * self._grid, end)]

    def _cut(self, start: int, own_end: int) -> Window:
        """The window at `start`, as much of it as there is."""
        offset = start - self._buffer_start
        sound = self._buffer[offset : offset + self._window]
        samples = np.zeros(self._window, dtype=np.float32)
        samples[: len(sound)] = sound
        window = Window(self._index, start, samples, len(sound), self._owned, own_end)
        self._index += 1
        self._owned = own_end
        return window

    def _drop(self, before: int) -> None:
        if before > self._buffer_start:
            self._buffer = self._buffer[before - self._buffer_start :]
            self._buffer_start = before

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the windower was flushed")
