"""models/asr/features.py against transformers' own front end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.asr.features import CHUNK_SAMPLES, LogMel

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    loud = rng.normal(0, 0.1, 48_000).astype(np.float32)
    tone = np.sin(np.arange(100_123) * 0.2).astype(np.float32) * np.linspace(0, 1e-3, 100_123, dtype=np.float32)
    return [loud, tone, np.zeros(16_000, np.float32), np.zeros(0, np.float32)]


@pytest.mark.parametrize("n_mels", [80, 128])
def test_equals_the_published_front_end(clips, n_mels):
    ours = LogMel(n_mels)(clips)
    theirs = transformers.WhisperFeatureExtractor(feature_size=n_mels)(clips, sampling_rate=16_000, return_tensors="pt")
    assert ours.shape == (4, n_mels, 3000)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs.input_features, atol=2e-4, rtol=0)


def test_less_padding_gives_the_same_begin(clips):
    short, long = LogMel(80)(clips[:1], 64_000), LogMel(80)(clips[:1], CHUNK_SAMPLES)
    assert short.shape == (1, 80, 400)
    torch.testing.assert_close(short[..., :398], long[..., :398])


def test_a_clip_does_not_depend_on_its_neighbours(clips):
    together, alone = LogMel(80)(clips, 160_000), LogMel(80)(clips[1:2], 160_000)
    torch.testing.assert_close(together[1:2], alone)
