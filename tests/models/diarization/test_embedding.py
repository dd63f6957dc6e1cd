from __future__ import annotations

import numpy as np
import pytest
import torch

from models.diarization.campplus import CamPlusPlus, load_campplus
from models.diarization.embedding import MIN_CLIP_SAMPLES, VoiceEncoder, load_voice_encoder
from models.diarization.features import LogMel, without_mean
from models.diarization.geometry import FrameGeometry
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require

GEOMETRY = FrameGeometry(start_samples=0, duration_samples=400, step_samples=160, frames=300, window_samples=48_240)
FIRST = GEOMETRY.first_cell_start_samples


@pytest.fixture
def encoder(tiny_network: CamPlusPlus) -> VoiceEncoder:
    return VoiceEncoder(tiny_network)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * 0.1


def test_vectors_have_length_one_and_keep_the_order_of_the_clips(encoder: VoiceEncoder):
    clips = [noise(samples, seed) for seed, samples in enumerate([9000, MIN_CLIP_SAMPLES, 40_000, 16_000])]

    vectors = encoder(clips)

    assert vectors.shape == (4, 12)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    for clip, vector in zip(clips, vectors, strict=True):
        np.testing.assert_allclose(encoder([clip])[0], vector, atol=1e-4)


def test_many_clips_need_several_packs_and_none_is_lost(encoder: VoiceEncoder):
    clips = [noise(50_000, seed) for seed in range(6)]

    vectors = encoder([*clips, noise(200_000, 9)])

    assert len(vectors) == 7
    np.testing.assert_allclose(vectors[3], encoder([clips[3]])[0], atol=1e-4)


def test_no_clips_give_no_vectors(encoder: VoiceEncoder):
    assert encoder([]).shape == (0, 12)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-4])
def test_a_constant_clip_has_a_finite_vector(encoder: VoiceEncoder, value: float):
    assert np.isfinite(encoder([np.full(16_000, value, dtype=np.float32)])).all()


def test_what_has_no_vector_is_refused_by_name(encoder: VoiceEncoder):
    with pytest.raises(ValueError, match=r"clip 1 has shape \(719,\); a clip is 1-D and has at least 720 samples"):
        encoder([noise(8000), noise(MIN_CLIP_SAMPLES - 1)])
    with pytest.raises(ValueError, match="clip 0 has shape"):
        encoder([noise(8000)[None]])
    broken = noise(8000)
    broken[17] = np.nan
    with pytest.raises(ValueError, match="clip 0 holds samples that are NaN"):
        encoder([broken])


@pytest.fixture(scope="module")
def real_encoder() -> VoiceEncoder:
    return load_voice_encoder(require(load_registry(), "voice", DEFAULT_WEIGHTS_DIR))


@pytest.mark.weights
def test_real_voices_are_nearer_to_themselves(
    real_encoder: VoiceEncoder, sample_waveform: np.ndarray, sample_turns: list[tuple[int, int, str]]
):
    """Pieces of 1 to 2 s of one person alone: each is nearer to its own speaker's other pieces than to the other's."""
    pieces = []
    for index, (start, end, speaker) in enumerate(sample_turns):
        for other, (other_start, other_end, _) in enumerate(sample_turns):
            if other < index and other_end > start:
                start = max(start, other_end)
            if other > index and other_start < end:
                end = min(end, other_start)
        pieces += [(speaker, sample_waveform[at : min(end, at + 32_000)]) for at in range(start, end - 16_000, 32_000)]
    vectors = real_encoder([clip for _, clip in pieces])
    similarity = vectors @ vectors.T
    speakers = np.array([speaker for speaker, _ in pieces])
    same = speakers[:, None] == speakers

    assert same.sum() >= 30
    assert (~same).sum() >= 30
    for row, twin in zip(similarity, same, strict=True):
        others = np.sort(row[twin])[:-1]
        assert others.min() > row[~twin].max()
    assert similarity[same].min() > 0.45
    assert similarity[~same].max() < 0.45


@pytest.mark.weights
def test_packed_network_holds_the_reference_on_real_speech(sample_waveform: np.ndarray):
    network = load_campplus(require(load_registry(), "voice", DEFAULT_WEIGHTS_DIR))
    clips = [sample_waveform[110_000:130_000], sample_waveform[240_000:320_000]]
    with torch.inference_mode():
        reference = [network(without_mean(LogMel()(torch.from_numpy(clip)[None])))[0].numpy() for clip in clips]

    vectors = VoiceEncoder(network)(clips)

    for vector, expected in zip(vectors, reference, strict=True):
        assert vector @ expected / np.linalg.norm(expected) > 0.99999
