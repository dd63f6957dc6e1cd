"""Decoded sound of any sample format and channel count -> mono float32 in [-1, 1], at the source's rate.

Channels are averaged: the mean of k channels can never clip, keeps the level of what all of them hold (mono as stereo
stays as it is), and gives a talker who sits in one channel of two 6 dB less, which recognition does not mind. Only
where two channels cancel each other (one wired the wrong way round) would the mean be silence; the louder is taken.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from app.core.types import FloatArray

_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_FULL_SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}
_CANCELLED = 0.02
"""Power of the mean over mean power of the channels: 1 for equal ones, 1/2 for unrelated ones, 0 for opposite ones."""


def to_float(frame: av.AudioFrame) -> tuple[FloatArray, bool]:
    """One decoded frame as (samples, channels) float32 in [-1, 1]; and whether NaN or infinity was replaced by 0.

    Float sources beyond full scale are clipped, as they would be on any loudspeaker.
    """
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels > 1:
        if channels > 7:
            # PyAV 18 counts the planes of such frames wrongly and `to_ndarray` reads foreign memory; libswresample
            # interleaves them first.
            frame = av.AudioResampler(format=frame.format.packed.name).resample(frame)[0]
        else:
            dtype = _DTYPES[frame.format.packed.name]
            planes = [np.frombuffer(memoryview(plane), dtype, frame.samples) for plane in frame.planes]
            return _scale(np.stack(planes, axis=1), dtype)
    dtype = _DTYPES[frame.format.packed.name]
    plane = np.frombuffer(memoryview(frame.planes[0]), dtype, frame.samples * channels)
    return _scale(plane.reshape(frame.samples, channels), dtype)


def mix_down(samples: FloatArray, channel: int | None) -> tuple[FloatArray, bool]:
    """(samples, channels) -> (samples,): the mean, or one channel (zeros where it is missing); and whether the channels
    cancel each other."""
    channels = samples.shape[1]
    if channel is not None:
        return (samples[:, channel].copy() if channel < channels else np.zeros(len(samples), np.float32)), False
    if channels == 1:
        return samples[:, 0].copy(), False
    # Products with a matrix, as numpy's sums along the short axis take ten times as long.
    mono: FloatArray = samples @ np.full(channels, 1 / channels, np.float32)
    if channels == 2:
        products = samples.T @ samples
        power = products.diagonal()
        if products.sum() / 4 < _CANCELLED * power.sum() / 2:
            return samples[:, int(power.argmax())].copy(), True
    return mono, False


def _scale(samples: NDArray[Any], dtype: str) -> tuple[FloatArray, bool]:
    if dtype in _FULL_SCALE:
        exact: NDArray[Any] = samples.astype(np.float32 if dtype in {"u1", "i2"} else np.float64)
        scaled = exact / _FULL_SCALE[dtype] - (1.0 if dtype == "u1" else 0.0)
        return scaled.astype(np.float32), False
    finite = np.isfinite(samples)
    replaced = not bool(finite.all())
    values = np.where(finite, samples, 0.0) if replaced else samples
    return np.clip(values, -1.0, 1.0).astype(np.float32), replaced
