"""Frames -> overlapping windows for the diarization model. The first step after `audio/`.

In: `Frames`, contiguous. Out: `Window`s of a fixed length at a fixed step; the last one is padded with zeros at the
flush.
"""

from __future__ import annotations

import numpy as np

from app.core.block import StreamClosed
from app.core.types import FloatArray, Frames, Window


class Windower:
    """Cuts a stream of frames into windows of `window_samples`, one every `step_samples`.

    Every sample lies in at least one window. A stream shorter than one window gives a single padded window at the
    flush; an empty stream gives none. Memory: at most one window plus one push.
    """

    def __init__(self, window_samples: int, step_samples: int) -> None:
        """Raises ValueError unless 0 < step_samples <= window_samples."""
        if not 0 < step_samples <= window_samples:
            raise ValueError(f"step_samples must be in 1..{window_samples}, not {step_samples}")
        self._window = window_samples
        self._step = step_samples
        self._buffer: FloatArray = np.zeros(0, dtype=np.float32)
        self._buffer_start = 0
        self._index = 0
        self._closed = False

    def push(self, item: Frames) -> list[Window]:
        """Raises ValueError when frames are not contiguous: a gap would shift every later time."""
        self._check_open()
        expected = self._buffer_start + len(self._buffer)
        if item.start != expected:
            raise ValueError(f"frames start at sample {item.start}, expected {expected}")
        self._buffer = np.concatenate([self._buffer, item.samples])
        windows = []
        while len(self._buffer) >= self._window:
            windows.append(Window(self._index, self._buffer_start, self._buffer[: self._window].copy(), self._window))
            self._advance()
        return windows

    def flush(self) -> list[Window]:
        self._check_open()
        self._closed = True
        # Samples up to here already lie in an earlier window; a tail window is owed only for what lies beyond.
        covered = 0 if self._index == 0 else self._window - self._step
        if len(self._buffer) <= covered:
            return []
        samples = np.zeros(self._window, dtype=np.float32)
        samples[: len(self._buffer)] = self._buffer
        return [Window(self._index, self._buffer_start, samples, len(self._buffer))]

    def _advance(self) -> None:
        self._buffer = self._buffer[self._step :]
        self._buffer_start += self._step
        self._index += 1

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the windower was flushed")
