"""Any rate -> 16 kHz: no delay, no tail lost, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.resample import Resampler

RATES = [4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]


def _whole(sound, rate, cuts=()):
    resampler = Resampler(rate)
    parts = [resampler.push(part) for part in np.split(sound, cuts)]
    return np.concatenate([*parts, resampler.flush()])


@settings(max_examples=60)
@given(st.sampled_from(RATES), st.integers(0, 30_000), st.lists(st.integers(0, 30_000), max_size=6))
def test_in_blocks_as_in_one_piece(rate, samples, cuts):
    sound = np.random.default_rng(samples).uniform(-0.5, 0.5, samples).astype(np.float32)
    whole = _whole(sound, rate)
    assert len(whole) == -(-samples * 16_000 // rate)
    np.testing.assert_array_equal(_whole(sound, rate, sorted(min(cut, samples) for cut in cuts)), whole)


@pytest.mark.parametrize("rate", RATES)
def test_against_an_independent_resampler(rate):
    """SciPy's polyphase filter, on sound without anything near the edge of the band."""
    rng = np.random.default_rng(0)
    taps = scipy.signal.firwin(401, 0.6 * min(rate, 16_000) / rate) if rate > 16_000 else [1.0]
    low = scipy.signal.firwin(401, 0.6)
    sound = scipy.signal.lfilter(low, 1, scipy.signal.lfilter(taps, 1, rng.uniform(-0.3, 0.3, rate)))
    common = np.gcd(rate, 16_000)
    truth = scipy.signal.resample_poly(sound, 16_000 // common, rate // common, window=("kaiser", 12.0))
    result = _whole(sound.astype(np.float32), rate)
    assert len(result) == len(truth)
    inner = slice(500, -500)
    assert np.std(result[inner] - truth[inner]) < 0.02 * np.std(truth[inner])


@pytest.mark.parametrize("rate", RATES)
def test_the_edges_stay(rate):
    """A constant is full at its last sample but for the filter's ripple: nothing of the tail is cut or shifted."""
    result = _whole(np.full(rate, 0.5, np.float32), rate)
    assert result[0] > 0.2
    assert result[-max(1, 16_000 // rate)] > 0.2
    np.testing.assert_allclose(result[200:-200], 0.5, atol=1e-3)


def test_overshoot_is_clipped():
    square = np.sign(np.sin(np.arange(48_000) / 50)).astype(np.float32)
    assert np.abs(_whole(square, 48_000)).max() == 1.0
