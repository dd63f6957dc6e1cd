from __future__ import annotations

import numpy as np
import pytest
import torch

from models import compat
from models.diarization.features import LogMel, frame_count, without_mean

compat.prepare()

from torchaudio.compliance import kaldi  # noqa: E402


def speech_like(samples: int, seed: int) -> torch.Tensor:
    """Coloured noise with loud and silent stretches and a constant offset: (samples,) float32."""
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.standard_normal(samples), [1.0, 0.9, 0.5], mode="same")
    loudness = np.repeat(rng.uniform(0.0, 0.3, samples // 800 + 1), 800)[:samples]
    return torch.from_numpy((noise * loudness + 0.01).astype(np.float32))


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000, 40_007])
def test_features_equal_those_of_kaldi(samples: int):
    clip = speech_like(samples, seed=samples)
    expected = kaldi.fbank(clip[None], num_mel_bins=80, sample_frequency=16_000, dither=0.0)

    features = LogMel()(clip[None])[0]

    assert features.shape == expected.shape == (frame_count(samples), 80)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=2e-3)


def test_clip_has_the_same_features_alone_and_in_a_batch():
    clips = torch.stack([speech_like(8000, seed) for seed in range(3)])
    features = LogMel()

    together = features(clips)

    for row, clip in enumerate(clips):
        torch.testing.assert_close(together[row], features(clip[None])[0])


def test_silence_has_finite_features_without_any_variation():
    features = without_mean(LogMel()(torch.zeros(1, 8000)))

    torch.testing.assert_close(features, torch.zeros_like(features), rtol=0, atol=1e-4)


def test_loudness_leaves_the_normalised_features_alone():
    clip = speech_like(16_000, seed=3)[None] - 0.01
    loud, quiet = LogMel()(clip + 0.0), LogMel()(clip * 0.25)

    audible = loud.exp() > 1e-3
    difference = (loud - quiet)[audible]
    torch.testing.assert_close(difference, torch.full_like(difference, 2 * np.log(4.0)), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98)])
def test_only_whole_frames_count(samples: int, frames: int):
    assert frame_count(samples) == frames
