"""Sound disturbed in training: its speed, and what is blotted out of its spectrogram."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.asr.features import HOP_SAMPLES
from models.training.shards import PreparedTurn

_MASKS = 2
_MOST_BANDS = 0.2
# A longer gap would swallow words that the text holds.
_MOST_SAMPLES = 4_800


@dataclass(frozen=True, slots=True)
class Masked:
    """bands, frames: [start, end) of each stripe of a spectrogram that is blotted out."""

    bands: tuple[tuple[int, int], ...] = ()
    frames: tuple[tuple[int, int], ...] = ()

    def blot(self, spectrogram: torch.Tensor) -> None:
        """Give the stripes of one (bands, frames) spectrogram its mean, in place."""
        mean = spectrogram.mean() if self.bands or self.frames else 0.0
        for start, end in self.bands:
            spectrogram[start:end] = mean
        for start, end in self.frames:
            spectrogram[:, start:end] = mean


NOTHING = Masked()


def draw_masks(samples: int, bands: int, rng: np.random.Generator) -> Masked:
    """Two stripes of up to a fifth of the bands, and two of up to 0.3 s (SpecAugment, arXiv 1904.08779)."""
    frames = samples // HOP_SAMPLES
    return Masked(
        tuple(_stripe(bands, int(_MOST_BANDS * bands), rng) for _ in range(_MASKS)),
        tuple(_stripe(frames, min(frames, _MOST_SAMPLES // HOP_SAMPLES), rng) for _ in range(_MASKS)),
    )


def _stripe(count: int, most: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(0, most + 1))
    start = int(rng.integers(0, count - width + 1))
    return start, start + width


def played_at(sound: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
    """(samples / speed,) the sound as it is when played so many times as fast, pitch and all (linear interpolation)."""
    places = np.arange(round(len(sound) / speed)) * speed
    played: NDArray[np.float32] = np.interp(places, np.arange(len(sound)), sound).astype(np.float32)
    return played


def at_speed(turn: PreparedTurn, speed: float) -> PreparedTurn:
    """A turn of sound that is played so many times as fast."""
    return dataclasses.replace(turn, start=round(turn.start / speed), end=round(turn.end / speed))
