"""Background noise: a random generator in, the sound of a room with people out. All synthesised, but for babble.

Coloured noise (ventilation), mains hum and babble (other speakers of the manifest, six or more at once) are mixed in
drawn proportions; the mixing step scales the sum to the drawn signal-to-noise ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.training.simulate.clips import SAMPLE_RATE, FloatArray

_BLOCK = 1 << 16
_BABBLE_VOICES = 6
_BABBLE_CHANCE, _HUM_CHANCE = 0.3, 0.3


@dataclass(frozen=True, slots=True)
class NoiseKind:
    """What the noise of one meeting is made of.

    exponent: of the power spectrum, 1 / f^exponent (0 = white, 1 = pink, 2 = brown)
    hum_hz, hum_db: mains frequency and level of the hum against the coloured noise; 0 Hz = none
    babble_db: level of babble against the coloured noise; None = none
    """

    exponent: float
    hum_hz: float
    hum_db: float
    babble_db: float | None


def draw_noise_kind(rng: np.random.Generator, with_babble: bool) -> NoiseKind:
    """Draw the make-up of a meeting's noise."""
    exponent = round(float(rng.uniform(0.0, 2.0)), 3)
    hum_hz = float(rng.choice([50.0, 60.0])) if rng.random() < _HUM_CHANCE else 0.0
    hum_db = round(float(rng.uniform(-15.0, 0.0)), 2)
    babble = round(float(rng.uniform(-10.0, 3.0)), 2) if rng.random() < _BABBLE_CHANCE and with_babble else None
    return NoiseKind(exponent, hum_hz, hum_db, babble)


def make_noise(kind: NoiseKind, length: int, voices: Sequence[FloatArray], rng: np.random.Generator) -> FloatArray:
    """(length,) float32 noise of unit RMS. `voices`: sound of speakers outside the meeting, used for babble."""
    noise = coloured(kind.exponent, length, rng)
    if kind.hum_hz > 0:
        noise += _db(kind.hum_db) * hum(kind.hum_hz, length, rng)
    if kind.babble_db is not None and voices:
        noise += _db(kind.babble_db) * babble(voices, length, rng)
    return unit_rms(noise)


def coloured(exponent: float, length: int, rng: np.random.Generator) -> FloatArray:
    """(length,) noise of unit RMS whose power falls as 1 / f^exponent above 20 Hz, made in cross-faded blocks."""
    half = _BLOCK // 2
    frequency = np.maximum(np.fft.rfftfreq(_BLOCK, 1.0 / SAMPLE_RATE), 20.0)
    shape = frequency ** (-exponent / 2.0)
    window = np.sin(np.pi * (np.arange(_BLOCK) + 0.5) / _BLOCK)
    out = np.zeros(length + _BLOCK + half, dtype=np.float32)
    for start in range(0, length + half, half):
        spectrum = np.fft.rfft(rng.standard_normal(_BLOCK)) * shape
        out[start : start + _BLOCK] += (np.fft.irfft(spectrum, _BLOCK) * window).astype(np.float32)
    return unit_rms(out[half : half + length])


def hum(mains_hz: float, length: int, rng: np.random.Generator) -> FloatArray:
    """(length,) mains hum of unit RMS: the mains frequency and its first harmonics, falling at random."""
    at = np.arange(length) / SAMPLE_RATE
    out = np.zeros(length)
    for harmonic in range(1, 7):
        level = float(rng.uniform(0.3, 1.0)) / harmonic
        out += level * np.sin(2 * np.pi * (mains_hz * harmonic * at + float(rng.random())))
    return unit_rms(out.astype(np.float32))


def babble(voices: Sequence[FloatArray], length: int, rng: np.random.Generator) -> FloatArray:
    """(length,) babble of unit RMS: `_BABBLE_VOICES` endless chains of the voices, at levels within a few dB."""
    out = np.zeros(length, dtype=np.float32)
    for _ in range(_BABBLE_VOICES):
        level = _db(float(rng.uniform(-4.0, 0.0)))
        at = -int(rng.integers(0, SAMPLE_RATE))
        while at < length:
            voice = unit_rms(voices[int(rng.integers(len(voices)))])
            begin, end = max(at, 0), min(at + len(voice), length)
            if end > begin:
                out[begin:end] += level * voice[begin - at : end - at]
            at += len(voice)
    return unit_rms(out)


def unit_rms(samples: FloatArray) -> FloatArray:
    """Scale to an RMS of 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
    return np.asarray(samples / rms, dtype=np.float32) if rms > 0 else samples


def _db(level: float) -> float:
    return float(10.0 ** (level / 20.0))
