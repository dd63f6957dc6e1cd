"""Samples that are in memory already -> frames, as a recording gives them. For tests and benchmarks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import numpy as np

from app.audio.recording import FRAME_SAMPLES
from app.core.types import FloatArray, Frames


def from_array(samples: FloatArray, frame_samples: int = FRAME_SAMPLES) -> Iterator[Frames]:
    """(samples,) mono at 16 kHz -> frames of `frame_samples`, the last one shorter. Raises ValueError."""
    if samples.ndim != 1:
        raise ValueError(f"expected (samples,), got {samples.shape}")
    if frame_samples < 1:
        raise ValueError("frame_samples must be positive")
    for start in range(0, len(samples), frame_samples):
        yield Frames(start, np.asarray(samples[start : start + frame_samples], np.float32))


async def afrom_array(samples: FloatArray, frame_samples: int = FRAME_SAMPLES) -> AsyncIterator[Frames]:
    """`from_array` for a session."""
    for frames in from_array(samples, frame_samples):
        yield frames
