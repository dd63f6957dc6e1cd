"""Kaldi-compatible log-mel filterbank features for the voice encoder, in plain batched torch.

First step of the voice encoder: samples at 16 kHz -> here -> ``campplus.py``. The recipe is the one that CAM++ was
trained with (3D-Speaker): 80 mel bands from 20 Hz to 8 kHz, 25 ms Povey windows every 10 ms, no dither, samples in
[-1, 1], then the mean over time taken away. The definition is Kaldi's ``compute-fbank-feats``; the tests compare with
``torchaudio.compliance.kaldi.fbank``, which does one clip at a time and rebuilds its filters on every call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 400
STEP_SAMPLES = 160
FFT_SIZE = 512
LOW_HZ = 20.0
PREEMPHASIS = 0.97
POVEY_POWER = 0.85


def frame_count(samples: int) -> int:
    """Feature frames of a clip of ``samples`` samples: only frames that fit as a whole (Kaldi's snip_edges)."""
    return 0 if samples < FRAME_SAMPLES else 1 + (samples - FRAME_SAMPLES) // STEP_SAMPLES


class LogMel(nn.Module):
    """Clips (B, samples) float32 in [-1, 1] -> log-mel features (B, T, mel_bins) float32, not mean-normalised."""

    window: Tensor
    filters: Tensor

    def __init__(self, mel_bins: int = 80) -> None:
        super().__init__()
        self.register_buffer("window", _povey_window(), persistent=False)
        self.register_buffer("filters", _mel_filters(mel_bins), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        frames = clips.unfold(1, FRAME_SAMPLES, STEP_SAMPLES)
        frames = frames - frames.mean(dim=2, keepdim=True)
        # Kaldi repeats the first sample of each frame as the one before it.
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
        spectrum = torch.fft.rfft((frames - PREEMPHASIS * before) * self.window, n=FFT_SIZE)
        power = spectrum.real.square() + spectrum.imag.square()
        mel: Tensor = power @ self.filters
        return mel.clamp(min=torch.finfo(torch.float32).eps).log()


def without_mean(features: Tensor) -> Tensor:
    """Features (..., T, mel) less their mean over time."""
    return features - features.mean(dim=-2, keepdim=True)


def _povey_window() -> Tensor:
    """Kaldi's window: a Hann window (ends at zero) to the power of 0.85; (FRAME_SAMPLES,)."""
    return torch.hann_window(FRAME_SAMPLES, periodic=False, dtype=torch.float64).pow(POVEY_POWER).float()


def _mel_filters(mel_bins: int) -> Tensor:
    """Triangular filters, equally spaced and straight-sided on the mel scale: (FFT_SIZE / 2 + 1, mel_bins).

    The Nyquist bin has no weight, as in Kaldi.
    """

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * (1.0 + hertz / 700.0).log()

    ends = mel(torch.tensor([LOW_HZ, SAMPLE_RATE / 2], dtype=torch.float64))
    edges = torch.linspace(float(ends[0]), float(ends[1]), mel_bins + 2, dtype=torch.float64)
    bins = mel(torch.arange(FFT_SIZE // 2, dtype=torch.float64) * SAMPLE_RATE / FFT_SIZE)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    return torch.cat([filters, filters.new_zeros(1, mel_bins)]).float()
