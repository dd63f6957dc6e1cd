"""models/asr/alignment.py: the warping against the textbook's, the filter against SciPy's, and a path that is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter as scipy_median

from models.asr.alignment import clip_frames, median_filter, token_starts_s, warp_starts


def textbook_cost(cost: np.ndarray) -> float:
    """Cost of the cheapest path, cell by cell."""
    total = np.full((cost.shape[0] + 1, cost.shape[1] + 1), np.inf)
    total[0, 0] = 0.0
    for i, j in np.ndindex(*cost.shape):
        total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1])


def cost_of(cost: np.ndarray, starts: np.ndarray) -> float:
    """Cost of the path through these starts: a token lasts until the next begins, at least one frame."""
    total = 0.0
    for i, start in enumerate(starts):
        end = starts[i + 1] if i + 1 < len(starts) else cost.shape[1]
        shared = cost[i, start : max(end, start + 1)].sum()
        touching = cost[i, start : end + 1].sum() if i + 1 < len(starts) else np.inf
        total += min(shared, touching)
    return total


@given(tokens=st.integers(1, 7), frames=st.integers(1, 12), seed=st.integers(0, 10_000))
@settings(deadline=None)
def test_finds_a_cheapest_path(tokens, frames, seed):
    cost = np.random.default_rng(seed).normal(size=(tokens, frames))
    starts = warp_starts(cost)
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < frames
    if (np.diff(starts) > 0).all():
        assert cost_of(cost, starts) == pytest.approx(textbook_cost(cost))


def test_starts_of_a_clear_map():
    cost = np.zeros((4, 20))
    for token, (begin, end) in enumerate([(0, 3), (3, 10), (10, 11), (11, 20)]):
        cost[token, begin:end] = -1.0
    assert warp_starts(cost).tolist() == [0, 3, 10, 11]


def test_more_tokens_than_frames():
    assert warp_starts(np.zeros((5, 2))).tolist() == sorted(warp_starts(np.zeros((5, 2))).tolist())


@pytest.mark.parametrize("frames", [4, 7, 50])
def test_median_equals_scipy(frames):
    values = torch.rand(3, 2, frames)
    expected = scipy_median(values.numpy(), size=(1, 1, 7), mode="mirror")
    torch.testing.assert_close(median_filter(values, 7), torch.from_numpy(expected))


def test_median_leaves_short_input_alone():
    values = torch.rand(2, 3)
    assert torch.equal(median_filter(values, 7), values)


def test_token_starts_in_seconds():
    begins, frames = [0, 40, 90, 120, 160], 200
    attention = torch.full((5, 3, frames), 1e-4)
    for token, begin in enumerate(begins):
        end = begins[token + 1] if token + 1 < len(begins) else frames
        attention[token, :, begin:end] = 1.0
    attention = attention / attention.sum(dim=-1, keepdim=True)
    np.testing.assert_allclose(token_starts_s(attention), np.array(begins) * 0.02, atol=0.04)


def test_one_token_and_one_frame():
    assert token_starts_s(torch.ones(2, 1, 1)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (1, 1), (320, 1), (321, 2), (480_000, 1500)])
def test_frames_of_a_clip(samples, frames):
    assert clip_frames(samples) == frames
