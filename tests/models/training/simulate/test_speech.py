from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.simulate.clips import SAMPLE_RATE, Clip
from models.training.simulate.errors import ClipUnreadable
from models.training.simulate.speech import load_utterance, speech_spans

from .conftest import padded, voice, write_wav

TOLERANCE = 0.08 * SAMPLE_RATE


def with_pause(pause_s: float) -> np.ndarray:
    silence = np.zeros(round(pause_s * SAMPLE_RATE), dtype=np.float32)
    return padded(np.concatenate([voice(1.0, 130.0, 1), silence, voice(0.8, 130.0, 2)]))


@given(lead=st.floats(0.1, 1.5), seconds=st.floats(0.4, 3.0), tail=st.floats(0.1, 1.5), level=st.floats(0.02, 1.0))
def test_boundaries_lie_where_the_speech_is(lead: float, seconds: float, tail: float, level: float) -> None:
    sound = padded(np.float32(level) * voice(seconds, 150.0, 3), lead, tail)
    ((start, end),) = speech_spans(sound)
    assert abs(start - lead * SAMPLE_RATE) < TOLERANCE
    assert abs(end - (lead + seconds) * SAMPLE_RATE) < TOLERANCE


@pytest.mark.parametrize(("pause_s", "spans"), [(0.2, 1), (0.4, 1), (0.7, 2), (1.5, 2)])
def test_only_long_pauses_split(pause_s: float, spans: int) -> None:
    assert len(speech_spans(with_pause(pause_s))) == spans


def test_a_noisy_clip_is_one_span() -> None:
    noise = 0.02 * np.random.default_rng(5).standard_normal(len(with_pause(1.0)))
    assert len(speech_spans((with_pause(1.0) + noise).astype(np.float32))) == 1


def test_a_click_is_not_speech() -> None:
    sound = padded(voice(1.0, 120.0, 4), lead_s=1.0)
    sound[4000:4200] += 0.3
    ((start, _),) = speech_spans(sound)
    assert abs(start - SAMPLE_RATE) < TOLERANCE


def test_silence_and_nothing_hold_no_speech() -> None:
    assert speech_spans(np.zeros(SAMPLE_RATE, dtype=np.float32)) == ()
    assert speech_spans(np.zeros(10, dtype=np.float32)) == ()


def test_an_utterance_keeps_all_its_speech(tmp_path: Path) -> None:
    spoken = voice(1.5, 140.0, 6)
    write_wav(tmp_path / "clip.wav", padded(spoken))
    utterance = load_utterance(Clip("clip.wav", tmp_path / "clip.wav", "s", "text", 2.2))
    assert utterance.spans[0][0] == 0
    assert abs(utterance.length - len(spoken)) < 2 * TOLERANCE
    inside = utterance.samples[utterance.lead : utterance.lead + utterance.length]
    assert np.sum(inside.astype(float) ** 2) == pytest.approx(np.sum(spoken.astype(float) ** 2), rel=0.01)
    assert utterance.samples[0] == 0
    assert not utterance.samples.flags.writeable


def test_a_clip_without_speech_is_named(tmp_path: Path) -> None:
    write_wav(tmp_path / "quiet.wav", np.zeros(SAMPLE_RATE, dtype=np.float32))
    with pytest.raises(ClipUnreadable, match=r"quiet\.wav"):
        load_utterance(Clip("quiet.wav", tmp_path / "quiet.wav", "s", "text", 1.0))
