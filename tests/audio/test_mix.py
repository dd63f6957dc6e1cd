"""Decoded frames of every sample format and channel count -> float32."""

from __future__ import annotations

import av
import numpy as np
import pytest

from app.audio.mix import mix_down, to_float

FORMATS = {"u8": (np.uint8, 128), "s16": (np.int16, 2**15), "s32": (np.int32, 2**31), "flt": (np.float32, 1)}
FORMATS["dbl"] = (np.float64, 1)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 7: "6.1", 8: "7.1", 16: "hexadecagonal"}


def _frame(sound, name, planar, layout):
    dtype, scale = FORMATS[name]
    values = (sound * scale + (128 if name == "u8" else 0)).astype(dtype)
    packed = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.T).reshape(1, -1), name, layout)
    packed.sample_rate = 16_000
    return av.AudioResampler(format=f"{name}p").resample(packed)[0] if planar else packed


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", LAYOUTS)
@pytest.mark.parametrize("planar", [False, True])
def test_all_formats(name, channels, planar):
    sound = np.random.default_rng(0).uniform(-0.9, 0.9, (channels, 500))
    frame = _frame(sound, name, planar, LAYOUTS[channels])
    assert frame.format.is_planar == planar
    samples, replaced = to_float(frame)
    assert (samples.shape, samples.dtype, replaced) == ((500, channels), np.float32, False)
    np.testing.assert_allclose(samples.T, sound, atol=1 / 127 if name == "u8" else 1e-4)


def test_full_scale():
    for name, low in (("u8", 0), ("s16", -(2**15)), ("s32", -(2**31))):
        frame = av.AudioFrame.from_ndarray(np.full((1, 4), low, FORMATS[name][0]), name, "mono")
        assert to_float(frame)[0].ravel().tolist() == [-1.0] * 4


@pytest.mark.parametrize("name", ["flt", "dbl"])
def test_not_finite_and_too_large(name):
    values = np.array([[np.nan, np.inf, -np.inf, 1e38, -5.0, 0.25]], FORMATS[name][0])
    samples, replaced = to_float(av.AudioFrame.from_ndarray(values, name, "mono"))
    assert samples.ravel().tolist() == [0, 0, 0, 1, -1, 0.25]
    assert replaced


def test_a_copy_is_given():
    frame = av.AudioFrame.from_ndarray(np.full((1, 4), 0.5, np.float32), "flt", "mono")
    samples, _ = to_float(frame)
    frame.planes[0].update(bytes(16))
    assert samples.ravel().tolist() == [0.5] * 4


@pytest.mark.parametrize("channels", [1, 2, 3, 16])
def test_equal_channels_keep_their_level(channels):
    sound = np.random.default_rng(1).uniform(-1, 1, 1000).astype(np.float32)
    mono, cancelled = mix_down(np.tile(sound[:, None], (1, channels)), None)
    np.testing.assert_allclose(mono, sound, rtol=1e-5, atol=1e-6)
    assert not cancelled


def test_one_talker_in_one_of_two_channels_is_halved():
    sound = np.zeros((1000, 2), np.float32)
    sound[:, 1] = 0.8
    mono, cancelled = mix_down(sound, None)
    np.testing.assert_allclose(mono, 0.4)
    assert not cancelled


def test_opposite_channels():
    sound = np.random.default_rng(2).uniform(-0.5, 0.5, 1000).astype(np.float32)
    mono, cancelled = mix_down(np.stack([0.9 * sound, -sound], axis=1), None)
    np.testing.assert_array_equal(mono, -sound)
    assert cancelled
    assert not mix_down(np.zeros((1000, 2), np.float32), None)[1]


def test_one_channel():
    sound = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert mix_down(sound, 1)[0].tolist() == [1, 3, 5]
    assert mix_down(sound, 2)[0].tolist() == [0, 0, 0]
