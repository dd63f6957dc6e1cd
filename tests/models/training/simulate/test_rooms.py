import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE
from models.training.simulate.rooms import draw_room


def decay_s(response: np.ndarray) -> float:
    """Time to fall by 60 dB, from the slope between -5 and -25 dB of Schroeder's backward integral."""
    energy = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    first, last = np.argmax(level < -5), np.argmax(level < -25)
    return float((last - first) / SAMPLE_RATE * 3)


@pytest.mark.parametrize("seed", range(4))
def test_geometry_is_plausible_and_sound_is_aligned(seed: int) -> None:
    room = draw_room(6, (0.15, 0.4), np.random.default_rng(seed))
    assert len(room.responses) == len(room.distances_m) == 6
    assert all(2.4 <= side <= 9.0 for side in room.size_m)
    assert all(0.3 <= distance <= 3.0 for distance in room.distances_m)
    for response in room.responses:
        assert np.sum(response.astype(float) ** 2) == pytest.approx(1.0, rel=1e-4)
        assert abs(int(np.argmax(np.abs(response[: room.lead + 40]))) - room.lead) <= 1, "direct sound at the lead"


def test_the_reverberation_time_is_about_what_was_asked() -> None:
    dry, wet = (draw_room(2, (asked, asked), np.random.default_rng(1)) for asked in (0.15, 0.5))
    assert decay_s(dry.responses[0]) < 0.3
    assert 0.3 < decay_s(wet.responses[0]) < 0.8


def test_the_same_seed_gives_the_same_room() -> None:
    first, second = (draw_room(2, (0.2, 0.3), np.random.default_rng(7)) for _ in range(2))
    assert first.size_m == second.size_m
    assert all(np.array_equal(a, b) for a, b in zip(first.responses, second.responses, strict=True))
