"""Limits that admit nothing are a mistake of the caller's."""

from __future__ import annotations

import pytest

from app.audio import AudioLimits
from app.errors import AudioFormatUnsupported, AudioTooLong


@pytest.mark.parametrize(
    "wrong",
    [{"max_duration_s": 0}, {"max_channels": 0}, {"max_gap_s": -1}, {"min_rate": 0}, {"min_rate": 9, "max_rate": 8}],
)
def test_wrong_limits(wrong):
    with pytest.raises(ValueError, match="limits"):
        AudioLimits(**wrong)


def test_bounds_are_included():
    limits = AudioLimits()
    for rate, channels in [(4_000, 1), (192_000, 16)]:
        limits.check_format(rate, channels)
    for rate, channels in [(3_999, 1), (192_001, 1), (16_000, 0), (16_000, 17), (0, 1)]:
        with pytest.raises(AudioFormatUnsupported):
            limits.check_format(rate, channels)
    limits.check_duration(6 * 3600.0)
    with pytest.raises(AudioTooLong, match="6 hours"):
        limits.check_duration(6 * 3600.0 + 1)
