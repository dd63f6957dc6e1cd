import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE, FloatArray
from models.training.simulate.noise import NoiseKind, coloured, draw_noise_kind, hum, make_noise

from .conftest import voice

LENGTH = 4 * SAMPLE_RATE


def band_power(samples: FloatArray, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return float(np.mean(spectrum[(frequency >= low) & (frequency < high)]))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_colour_is_the_slope_of_the_spectrum(exponent: float) -> None:
    noise = coloured(exponent, LENGTH, np.random.default_rng(0))
    fall = np.log2(band_power(noise, 450, 550) / band_power(noise, 3600, 4400)) / 3
    assert fall == pytest.approx(exponent, abs=0.25)
    halves = [float(np.std(noise[: LENGTH // 2])), float(np.std(noise[LENGTH // 2 :]))]
    assert halves[0] == pytest.approx(halves[1], rel=0.3), "steady over time"


def test_hum_sits_on_its_harmonics() -> None:
    sound = hum(50.0, LENGTH, np.random.default_rng(0))
    assert band_power(sound, 49, 51) > 1e6 * band_power(sound, 70, 80)


@pytest.mark.parametrize(
    "kind",
    [NoiseKind(1.0, 0.0, 0.0, None), NoiseKind(0.5, 60.0, 0.0, None), NoiseKind(1.5, 0.0, 0.0, 3.0)],
)
def test_every_make_up_has_unit_rms(kind: NoiseKind) -> None:
    voices = [voice(1.0, 120.0, 1), voice(0.7, 200.0, 2)]
    noise = make_noise(kind, LENGTH, voices, np.random.default_rng(0))
    assert noise.shape == (LENGTH,)
    assert float(np.sqrt(np.mean(noise.astype(float) ** 2))) == pytest.approx(1.0, rel=1e-3)


def test_babble_is_drawn_only_where_there_are_other_voices() -> None:
    rng = np.random.default_rng(0)
    assert all(draw_noise_kind(rng, with_babble=False).babble_db is None for _ in range(50))
    assert any(draw_noise_kind(rng, with_babble=True).babble_db is not None for _ in range(50))
