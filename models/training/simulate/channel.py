"""The recording's way to the listener: clean mix in, the same sound after a telephone line or an Opus stream out."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

from models.training.simulate.clips import SAMPLE_RATE, FloatArray

TELEPHONE_BAND_HZ = (300.0, 3400.0)
TELEPHONE_RATE = 8_000
_MU = 255.0
_CHUNK = SAMPLE_RATE


def telephone(samples: FloatArray) -> FloatArray:
    """Narrow-band telephone: 300-3400 Hz, 8 kHz, 8-bit mu-law (the law of ITU-T G.711), back to 16 kHz; no delay."""
    narrow = resample_poly(samples.astype(np.float64), 1, SAMPLE_RATE // TELEPHONE_RATE)
    filters = butter(4, TELEPHONE_BAND_HZ, btype="bandpass", fs=TELEPHONE_RATE, output="sos")
    companded = mu_law_decode(mu_law_encode(sosfiltfilt(filters, narrow)))
    wide = resample_poly(companded, SAMPLE_RATE // TELEPHONE_RATE, 1)[: len(samples)]
    return np.asarray(np.clip(wide, -1.0, 1.0), dtype=np.float32)


def mu_law_encode(samples: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[-1, 1] to 8-bit codes by the continuous mu-law curve, mu = 255."""
    clipped = np.clip(samples, -1.0, 1.0)
    curve = np.sign(clipped) * np.log1p(_MU * np.abs(clipped)) / np.log1p(_MU)
    return np.asarray(np.round((curve + 1.0) / 2.0 * _MU), dtype=np.uint8)


def mu_law_decode(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The inverse of `mu_law_encode`, to [-1, 1]."""
    curve = codes.astype(np.float64) / _MU * 2.0 - 1.0
    return np.asarray(np.sign(curve) * np.expm1(np.abs(curve) * np.log1p(_MU)) / _MU)


def opus(samples: FloatArray, bit_rate: int) -> FloatArray:
    """Encode to Ogg Opus at `bit_rate` bit/s and decode again: same length, same alignment, 16 kHz mono."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = bit_rate
        for frame in _frames(np.clip(samples, -1.0, 1.0)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(buffer, "r") as coded:
        parts = [part for frame in coded.decode(audio=0) for part in resampler.resample(frame)]
    parts.extend(resampler.resample(None))
    decoded = np.concatenate([part.to_ndarray().reshape(-1) for part in parts])[: len(samples)]
    return np.asarray(np.pad(decoded, (0, len(samples) - len(decoded))), dtype=np.float32)


def _frames(samples: FloatArray) -> list[av.AudioFrame]:
    frames = []
    for start in range(0, len(samples), _CHUNK):
        block = np.ascontiguousarray(samples[None, start : start + _CHUNK], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        frames.append(frame)
    return frames
