import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.simulate.channel import mu_law_decode, mu_law_encode, opus, telephone
from models.training.simulate.clips import SAMPLE_RATE, FloatArray

from .conftest import padded, voice


def lag(before: FloatArray, after: FloatArray) -> int:
    width = 400
    inner = after[width:-width].astype(float)
    return width - int(np.argmax(np.correlate(before.astype(float), inner, "valid")))


def test_the_telephone_keeps_its_band_only() -> None:
    at = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz, passes in ((100.0, False), (1000.0, True), (3000.0, True), (6000.0, False)):
        tone = np.asarray(0.5 * np.sin(2 * np.pi * hertz * at), dtype=np.float32)
        kept = float(np.std(telephone(tone)) / np.std(tone))
        assert (kept > 0.8) == passes, hertz
        assert passes or kept < 0.05, hertz


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_mu_law_is_finer_for_small_values(values: list[float]) -> None:
    samples = np.array(values)
    error = np.abs(mu_law_decode(mu_law_encode(samples)) - samples)
    assert np.all(error <= 0.0003 + 0.03 * np.abs(samples))


@pytest.mark.parametrize("channel", [telephone, lambda samples: opus(samples, 24_000)])
def test_channels_keep_length_and_alignment(channel) -> None:
    sound = padded(voice(1.3, 170.0, 3), 0.31, 0.27)
    out = channel(sound)
    assert (out.shape, out.dtype) == (sound.shape, np.float32)
    assert abs(lag(sound, out)) <= 8
    assert np.array_equal(out, channel(sound)), "the same every time"
    assert not np.array_equal(out, sound)
