"""The last stretch of a live session's sound, in memory: what may still have to be decoded."""

from __future__ import annotations

from collections import deque

import numpy as np

from app.core.types import FloatArray

_LEAST_PART = 1600
"""Shorter pieces are joined: many small packets must not become many small arrays."""


class Sound:
    """Samples [start, end). Memory: what was not dropped."""

    def __init__(self, start: int = 0) -> None:
        self._parts: deque[FloatArray] = deque()
        self.start = start
        self.end = start

    def append(self, samples: FloatArray) -> None:
        """(samples,) float32 that follow."""
        if not len(samples):
            return
        self.end += len(samples)
        if self._parts and len(self._parts[-1]) < _LEAST_PART:
            samples = np.concatenate([self._parts.pop(), samples])
        self._parts.append(samples)

    def read(self, start: int, end: int) -> FloatArray:
        """Samples of [start, end), clipped to the end. Raises ValueError for sound that was dropped."""
        if start < self.start:
            raise ValueError(f"the sound before {self.start} is gone, {start} was asked for")
        found, at = [np.zeros(0, np.float32)], self.start
        for part in self._parts:
            found.append(part[max(0, start - at) : max(0, end - at)])
            at += len(part)
        return np.concatenate(found)

    def drop(self, before: int) -> None:
        """Forget whole parts before a sample."""
        while self._parts and self.start + len(self._parts[0]) <= before:
            self.start += len(self._parts.popleft())
