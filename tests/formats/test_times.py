from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.times import to_samples
from app.formats.times import clock, fixed_seconds, from_ms, seconds, short_clock, to_ms
from tests.formats.views import fuzz


def test_rounding_carries_into_minutes_and_hours():
    assert clock(to_ms(to_samples(59.9996)), ".") == "00:01:00.000"
    assert clock(to_ms(to_samples(3599.9996)), ",") == "01:00:00,000"
    assert clock(to_ms(to_samples(59.9994)), ".") == "00:00:59.999"
    assert short_clock(to_samples(59.95)) == "0:01:00.0"
    assert short_clock(to_samples(59.94)) == "0:00:59.9"
    assert clock(100 * 3_600_000, ".") == "100:00:00.000"
    assert fixed_seconds(60_005) == "60.005"


@fuzz
@given(st.integers(0, 16_000 * 86_400))
def test_milliseconds_are_the_nearest(samples):
    assert abs(from_ms(to_ms(samples)) - samples) <= 8
    assert abs(seconds(samples) - samples / 16_000) <= 0.000_501
    assert to_ms(samples) <= to_ms(samples + 1)


@fuzz
@given(st.integers(0, 400_000_000))
def test_clocks_read_back(ms):
    hours, minutes, rest = clock(ms, ".").split(":")
    second, thousandths = rest.split(".")
    assert int(minutes) < 60
    assert int(second) < 60
    assert ((int(hours) * 60 + int(minutes)) * 60 + int(second)) * 1000 + int(thousandths) == ms
    assert to_ms(from_ms(ms)) == ms
