from collections.abc import Callable

import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE
from models.training.simulate.conversation import Placed
from models.training.simulate.mixing import PEAK, SPEECH_LEVEL_DB, mix
from models.training.simulate.noise import coloured
from models.training.simulate.rooms import draw_room
from models.training.simulate.speech import Utterance

LENGTH = 6 * SAMPLE_RATE


@pytest.fixture
def placed(make_utterance: Callable[..., Utterance]) -> list[Placed]:
    return [
        Placed(0, make_utterance(1.5, "a"), SAMPLE_RATE),
        Placed(1, make_utterance(1.2, "b"), 2 * SAMPLE_RATE),
        Placed(0, make_utterance(1.0, "a", "other"), 4 * SAMPLE_RATE),
    ]


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2) + 1e-20))


def test_speech_is_where_the_plan_says_to_the_sample(placed: list[Placed]) -> None:
    dry = mix(placed, LENGTH, [0.0, 0.0], None, None).samples
    assert np.all(dry[: placed[0].start] == 0)
    assert dry[placed[0].start] != 0
    assert np.all(dry[placed[1].end : placed[2].start] == 0)
    assert dry[placed[2].end - 1] != 0
    assert np.all(dry[placed[2].end :] == 0)


def test_a_room_does_not_move_the_speech(placed: list[Placed]) -> None:
    room = draw_room(2, (0.2, 0.2), np.random.default_rng(0))
    dry, wet = (mix(placed, LENGTH, [0.0, 0.0], there, None).samples for there in (None, room))
    span = slice(placed[2].start - 400, placed[2].end + 400)
    best = np.argmax(np.correlate(wet[span].astype(float), dry[placed[2].start : placed[2].end].astype(float), "valid"))
    assert abs(int(best) - 400) <= 1
    assert level_db(wet[: placed[0].start - room.lead]) < -150, "nothing sounds before its cause"


def test_stems_and_noise_add_up_to_the_mix(placed: list[Placed]) -> None:
    room = draw_room(2, (0.2, 0.2), np.random.default_rng(0))
    noise = coloured(1.0, LENGTH, np.random.default_rng(1))
    made = mix(placed, LENGTH, [3.0, -2.0], room, (noise, 20.0), stems=True)
    rest = made.samples - made.stems.sum(axis=0)
    assert abs(np.corrcoef(rest, noise)[0, 1]) > 0.999
    assert made.stems.shape == (2, LENGTH)
    assert mix(placed, LENGTH, [3.0, -2.0], room, None).stems.shape == (0, LENGTH)


def test_levels_are_as_asked(placed: list[Placed]) -> None:
    noise = coloured(0.0, LENGTH, np.random.default_rng(1))
    made = mix(placed, LENGTH, [4.0, -2.0], None, (noise, 15.0), stems=True)
    first = level_db(made.stems[0][placed[0].start : placed[0].end])
    second = level_db(made.stems[1][placed[1].start : placed[1].end])
    assert first - second == pytest.approx(6.0, abs=0.01)
    active = np.zeros(LENGTH, dtype=bool)
    for item in placed:
        active[item.start : item.end] = True
    speech = level_db(made.stems.sum(axis=0)[active])
    assert speech == pytest.approx(SPEECH_LEVEL_DB, abs=0.01)
    assert speech - level_db(made.samples[~active]) == pytest.approx(15.0, abs=0.3)
    assert np.max(np.abs(made.samples)) <= PEAK


def test_a_meeting_without_speech_is_noise() -> None:
    noise = coloured(0.0, LENGTH, np.random.default_rng(1))
    made = mix([], LENGTH, [0.0], None, (noise, 20.0))
    assert np.all(np.isfinite(made.samples))
    assert 0 < np.max(np.abs(made.samples)) <= PEAK
