"""The line of sound against a slow truth: every sound where its time says, silence elsewhere, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio.limits import AudioLimits
from app.audio.media import AudioWarning, Warnings
from app.audio.packets import Sound
from app.audio.timeline import Timeline
from app.errors import AudioTooLong


def _join(sounds, limits=None, origin_s=None, channel=None):
    warnings = Warnings()
    line = Timeline(limits or AudioLimits(), warnings, channel, origin_s)
    parts = [part for sound in sounds for part in line.push(sound)] + list(line.flush())
    return np.concatenate(parts), warnings.all(), line.end_s


def _ones(start_s, samples, rate=16_000, value=1.0, channels=1):
    return Sound(start_s, rate, np.full((samples, channels), value, np.float32))


@given(st.lists(st.tuples(st.integers(161, 40_000), st.integers(1, 30_000)), max_size=8))
def test_sounds_lie_where_their_times_say(pieces):
    sounds, truth, end = [_ones(5.0, 100)], [np.ones(100)], 100
    for gap, samples in pieces:
        sounds.append(_ones(5.0 + (end + gap) / 16_000, samples, value=0.5))
        truth += [np.zeros(gap), np.full(samples, 0.5)]
        end += gap + samples
    line, warnings, end_s = _join(sounds)
    np.testing.assert_array_equal(line, np.concatenate(truth))
    assert end_s == pytest.approx(end / 16_000)
    assert warnings == ((AudioWarning.GAPS,) if pieces else ())


@given(st.lists(st.floats(-0.009, 0.009), min_size=1, max_size=40))
def test_jitter_makes_no_holes(jitter_s):
    sounds = [_ones(None, 320)] + [_ones(index * 0.02 + late, 320) for index, late in enumerate(jitter_s, 1)]
    sounds[0] = _ones(0.0, 320)
    line, warnings, _ = _join(sounds, origin_s=0.0)
    np.testing.assert_array_equal(line, np.ones(320 * len(sounds)))
    assert warnings == ()


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=12), st.sampled_from([None, 0.0, -3.0]))
def test_no_sound_is_lost_whatever_the_times(starts_s, origin_s):
    limits = AudioLimits(max_duration_s=1e9, max_gap_s=5)
    line, _, end_s = _join([_ones(start_s, 1000) for start_s in starts_s], limits, origin_s)
    assert np.count_nonzero(line) == 1000 * len(starts_s)
    assert len(line) == pytest.approx(end_s * 16_000, abs=1)


def test_many_small_gaps_add_up():
    """Each packet of 20 ms is followed by 4 ms of nothing: below the tolerance, but not for long."""
    line, warnings, _ = _join([_ones(index * 0.024, 320) for index in range(500)])
    assert len(line) / 16_000 == pytest.approx(500 * 0.024, abs=0.015)
    assert warnings == (AudioWarning.GAPS,)


def test_silence_before_the_first_sound_is_no_gap():
    line, warnings, _ = _join([_ones(2.0, 100)], origin_s=0.0)
    np.testing.assert_array_equal(line, np.concatenate([np.zeros(32_000), np.ones(100)]))
    assert warnings == ()


def test_a_clock_that_starts_anew():
    line, warnings, _ = _join([_ones(0.0, 32_000), _ones(0.0, 16_000, value=0.5), _ones(2.0, 100)])
    assert len(line) == 32_000 + 32_000 + 100
    assert warnings == (AudioWarning.TIMESTAMPS, AudioWarning.GAPS)


@pytest.mark.parametrize("rates", [(8_000, 48_000), (44_100, 16_000, 22_050), (16_000, 11_025)])
def test_the_rate_may_change(rates):
    sounds = [Sound(None, rate, np.full((rate, 1), 0.5, np.float32)) for rate in rates]
    line, _, end_s = _join(sounds)
    assert len(line) == 16_000 * len(rates)
    assert end_s == len(rates)
    np.testing.assert_allclose(line[4_000:12_000], 0.5, atol=1e-3)


def test_the_number_of_channels_may_change():
    sounds = [_ones(None, 100), _ones(None, 100, channels=2, value=0.5), _ones(None, 100, channels=5, value=0.25)]
    line, _, _ = _join(sounds)
    np.testing.assert_allclose(line, np.repeat([1.0, 0.5, 0.25], 100))
    line, _, _ = _join(sounds, channel=1)
    np.testing.assert_allclose(line, np.repeat([0.0, 0.5, 0.25], 100))


def test_long_silence_comes_in_pieces():
    line = Timeline(AudioLimits(), Warnings(), None, 0.0)
    sizes = [len(part) for part in line.push(_ones(600.0, 100, 48_000))]
    assert max(sizes) <= 16_000
    assert sum(sizes) == pytest.approx(600 * 16_000, abs=16_100)


def test_the_limit_comes_before_the_work():
    line = Timeline(AudioLimits(max_duration_s=100), Warnings(), None, 0.0)
    list(line.push(_ones(99.0, 16_000)))
    with pytest.raises(AudioTooLong):
        next(line.push(_ones(None, 1)))
