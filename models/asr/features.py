"""Whisper's input: clips of sound in, log-mel spectrograms out, on any device and with any length of padding.

The published front end (Radford et al., 2022; openai/whisper `audio.py`): 25 ms Hann windows every 10 ms, power
spectrum, mel bands on Slaney's scale, log10, at most 8 decades below the loudest bin of the clip, scaled to about
[-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.audio_utils import mel_filter_bank

SAMPLE_RATE_HZ = 16_000
CHUNK_SAMPLES = 30 * SAMPLE_RATE_HZ
HOP_SAMPLES = 160
FRAME_SAMPLES = 2 * HOP_SAMPLES
"""Samples per encoder frame: the encoder halves the rate of the spectrogram, to 50 frames a second."""

_WINDOW_SAMPLES = 400
_FLOOR = 1e-10
_RANGE_DECADES = 8.0


class LogMel:
    """The front end for models with `n_mels` bands. Holds its window and filters on `device`, in float32."""

    def __init__(self, n_mels: int, device: torch.device | str = "cpu") -> None:
        filters = mel_filter_bank(
            num_frequency_bins=_WINDOW_SAMPLES // 2 + 1,
            num_mel_filters=n_mels,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE_HZ / 2,
            sampling_rate=SAMPLE_RATE_HZ,
            norm="slaney",
            mel_scale="slaney",
        )
        self._device = torch.device(device)
        self._filters = torch.from_numpy(filters.T.astype(np.float32)).to(self._device)  # (n_mels, bins)
        self._window = torch.hann_window(_WINDOW_SAMPLES, device=self._device)

    def __call__(self, clips: Sequence[NDArray[np.float32]], padded_samples: int = CHUNK_SAMPLES) -> torch.Tensor:
        """Log-mel spectrograms of clips padded with silence.

        Args:
            clips: each (samples,) float32 in [-1, 1] at 16 kHz, at most `padded_samples` long.
            padded_samples: the common length, a multiple of 160.

        Returns:
            (batch, n_mels, padded_samples / 160) float32.
        """
        sound = np.zeros((len(clips), padded_samples), dtype=np.float32)
        for row, clip in zip(sound, clips, strict=True):
            row[: len(clip)] = clip
        spectrum = torch.stft(
            torch.from_numpy(sound).to(self._device),
            n_fft=_WINDOW_SAMPLES,
            hop_length=HOP_SAMPLES,
            window=self._window,
            return_complex=True,
        )[..., :-1]  # (batch, bins, frames): the last frame lies past the end
        power = spectrum.real.square() + spectrum.imag.square()
        log_mel = (self._filters @ power).clamp_(min=_FLOOR).log10_()
        floor = log_mel.amax(dim=(1, 2), keepdim=True) - _RANGE_DECADES
        return (torch.maximum(log_mel, floor) + 4.0) / 4.0
