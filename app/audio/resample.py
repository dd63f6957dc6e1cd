"""Mono sound of one rate -> 16 kHz, by libswresample, block by block and with the same result as in one piece."""

from __future__ import annotations

import av
import numpy as np

from app.core.times import SAMPLE_RATE
from app.core.types import FloatArray

FILTER = {"filter_size": "64", "cutoff": "0.95"}
"""libswresample's windowed sinc, twice its default length: 48 -> 16 kHz passes 7 kHz whole and holds what lies above
8.2 kHz 60 dB down (by default 15 dB), so that nothing folds back into speech."""
_FILTER_TAPS = 64


def resampled_length(samples: int, rate: int) -> int:
    """Samples at 16 kHz for a stretch of `samples` at `rate`; never 0 for a stretch that has any."""
    return -(-samples * SAMPLE_RATE // rate)


class Resampler:
    """One stretch of sound at one rate. Output sample i lies at time i / 16000 of the stretch: no delay.

    The total is exactly ceil(input samples * 16000 / rate); the sound outside the stretch is taken for silence.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE, options=FILTER)
        self._taken = 0
        self._given = 0

    def push(self, samples: FloatArray) -> FloatArray:
        """(samples,) at the source's rate -> what it completed, (samples,) float32 in [-1, 1]."""
        self._taken += len(samples)
        if self._rate == SAMPLE_RATE or not len(samples):
            return self._give(samples)
        return self._give(self._resample(samples))

    def flush(self) -> FloatArray:
        """The end of the stretch: what is still inside the filter."""
        if self._rate == SAMPLE_RATE or not self._taken:
            return np.zeros(0, np.float32)
        # libswresample gives nothing at all for less than its filter's length: filled up with silence, then cut.
        padding = np.zeros(2 * _FILTER_TAPS * max(1, -(-self._rate // SAMPLE_RATE)), np.float32)
        tail = np.concatenate([self._resample(padding), self._collect(None)])
        return self._give(tail[: resampled_length(self._taken, self._rate) - self._given])

    def _resample(self, samples: FloatArray) -> FloatArray:
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = self._rate
        return self._collect(frame)

    def _collect(self, frame: av.AudioFrame | None) -> FloatArray:
        parts = [
            np.frombuffer(memoryview(out.planes[0]), np.float32, out.samples) for out in self._resampler.resample(frame)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _give(self, samples: FloatArray) -> FloatArray:
        self._given += len(samples)
        # The filter overshoots at full scale.
        clipped: FloatArray = np.clip(samples, -1.0, 1.0, dtype=np.float32)
        return clipped
