"""Sound disturbed in training: speed and blots."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.training.augment import Masked, at_speed, draw_masks, played_at
from models.training.shards import PreparedTurn


@pytest.mark.parametrize("speed", [0.88, 1.0, 1.12])
def test_a_tone_is_shorter_and_higher_when_played_faster(speed: float) -> None:
    rate, tone = 16_000, 440.0
    sound = np.sin(2 * np.pi * tone * np.arange(rate) / rate).astype(np.float32)
    played = played_at(sound, speed)
    assert played.dtype == np.float32
    assert len(played) == round(rate / speed)
    spectrum = np.abs(np.fft.rfft(played * np.hanning(len(played))))
    assert np.argmax(spectrum) * rate / len(played) == pytest.approx(tone * speed, abs=2.0)


def test_a_turn_keeps_its_sound_at_another_speed() -> None:
    sound = np.zeros(32_000, dtype=np.float32)
    sound[8_000:16_000] = 1.0
    turn = PreparedTurn(8_000, 16_000, 0, "yes", "", 0.0)
    moved, played = at_speed(turn, 1.1), played_at(sound, 1.1)
    assert (moved.start, moved.end) == (7273, 14545)
    assert played[moved.start : moved.end].mean() > 0.999
    assert played[: moved.start - 1].max() == 0.0
    assert dataclasses.replace(moved, start=turn.start, end=turn.end) == turn


def test_stripes_are_within_the_spectrogram_and_short() -> None:
    rng = np.random.default_rng(1)
    drawn = [draw_masks(samples, 80, rng) for samples in (160, 1_600, 160_000) for _ in range(200)]
    for masked, frames in zip(drawn, [1] * 200 + [10] * 200 + [1_000] * 200, strict=True):
        assert all(0 <= start <= end <= 80 and end - start <= 16 for start, end in masked.bands)
        assert all(0 <= start <= end <= frames and end - start <= 30 for start, end in masked.frames)
    assert any(end > start for masked in drawn for start, end in masked.frames)


def test_blots_have_the_mean_and_the_rest_is_as_it_was() -> None:
    spectrogram = torch.arange(12.0).reshape(3, 4)
    whole = spectrogram.clone()
    Masked(bands=((0, 1),), frames=((3, 4),)).blot(spectrogram)
    assert spectrogram[0].tolist() == [5.5] * 4
    assert spectrogram[:, 3].tolist() == [5.5] * 3
    assert torch.equal(spectrogram[1:, :3], whole[1:, :3])
    Masked().blot(whole)
    assert whole[0].tolist() == [0.0, 1.0, 2.0, 3.0]
