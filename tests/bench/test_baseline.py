from __future__ import annotations

import wave
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from app.bench.baseline import (
    PUBLISHED_THRESHOLD,
    Baseline,
    ClipVectors,
    best,
    load_baseline,
    run_baseline,
)
from app.bench.corpora import BenchItem, read_reference
from app.bench.diarization import score_diarization
from app.bench.speech import Speech, SpokenTurn
from app.bench.values import Speed
from models.diarization.embedding import MIN_CLIP_SAMPLES
from tests.bench.meetings import turns_only

# Imported last: app.bench.baseline makes these safe to import.
import pyannote.audio  # isort: skip
from pyannote.audio.core.task import Problem, Resolution, Specifications  # isort: skip
from pyannote.audio.models.segmentation import PyanNet  # isort: skip

RATE = 16_000


class PitchEncoder:
    """Stands for the voice encoder: a clip's vector is the mean of its samples and their spread."""

    vector_size = 2

    def __init__(self) -> None:
        self.clips: list[np.ndarray] = []

    def __call__(self, clips):
        self.clips += clips
        return np.array([[clip.mean(), clip.std()] for clip in clips], dtype=np.float32).reshape(-1, 2)


def test_a_vector_is_that_of_the_frames_that_count():
    encoder = PitchEncoder()
    sound = torch.cat([torch.zeros(RATE), torch.ones(RATE)]).expand(3, 1, 2 * RATE)
    weights = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.4, 0.6, 0.6, 0.4], [0.0, 0.0, 0.0, 0.0]])
    vectors = ClipVectors(encoder)(sound, weights=weights)
    assert vectors.shape == (3, 2)
    assert vectors[:2].tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert vectors[2].isnan().all()
    assert [len(clip) for clip in encoder.clips] == [RATE, RATE]


def test_without_weights_everything_counts_and_short_clips_are_repeated():
    encoder = PitchEncoder()
    vectors = ClipVectors(encoder)(torch.ones(1, 1, 100))
    assert vectors.tolist() == [[1.0, 0.0]]
    assert MIN_CLIP_SAMPLES <= len(encoder.clips[0]) < MIN_CLIP_SAMPLES + 100


class FakeBaseline:
    """Hears one speaker too many at thresholds below one half."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def diarize(self, samples, thresholds):
        self.heard.append(len(samples))
        for threshold in thresholds:
            last = SpokenTurn(1.0, 2.0, "y" if threshold < 0.5 else "x")
            yield Speech((SpokenTurn(0.0, 1.0, "x"), last))


def test_every_threshold_is_scored_and_speed_is_that_of_the_full_pass(tmp_path):
    items = [BenchItem(name, "set", tmp_path / name, turns_only(("A", 0.0, 2.0))) for name in ("a", "b")]
    fake, ticks = FakeBaseline(), count()
    runs = run_baseline(
        items,
        fake,
        lambda path: np.zeros(4 * RATE, dtype=np.float32),
        thresholds=(0.3, 0.7),
        clock=lambda: float(next(ticks)),
    )
    assert fake.heard == [4 * RATE, 4 * RATE]
    assert [run.threshold for run in runs] == [0.3, 0.7]
    assert [item.session for item in runs[0].items] == ["a", "b"]
    assert [[item.scores.diarization.strict.confusion_s for item in run.items] for run in runs] == [
        [1.0, 1.0],
        [0.0, 0.0],
    ]
    assert best(runs) is runs[1]
    assert best(runs[:1]) is runs[0]
    assert {item.speed for run in runs for item in run.items} == {Speed(4.0, 1.0)}


class LevelSegmentation(PyanNet):
    """Hears speaker a where the sound's level is high, b where it is low, both where it is very high."""

    def __init__(self) -> None:
        super().__init__(lstm={"hidden_size": 2, "num_layers": 1}, linear={"hidden_size": 2, "num_layers": 1})
        self.specifications = Specifications(
            problem=Problem.MONO_LABEL_CLASSIFICATION,
            resolution=Resolution.FRAME,
            duration=10.0,
            classes=["a", "b", "c"],
            powerset_max_classes=2,
            permutation_invariant=True,
        )
        self.build()

    def forward(self, waveforms):
        level = functional.adaptive_avg_pool1d(waveforms, self.num_frames(waveforms.shape[-1]))[:, 0]
        spoken = (level > 0.2) * 1 + (level < -0.2) * 2 + (level > 0.7) * 3
        return functional.one_hot(spoken, 7).float().clamp(min=1e-6).log()


def levels(*rows: tuple[float, float]) -> np.ndarray:
    """Sound of (seconds, level) one after the other."""
    return np.concatenate([np.full(round(seconds * RATE), level, dtype=np.float32) for seconds, level in rows])


@pytest.fixture
def baseline() -> Baseline:
    return Baseline(LevelSegmentation(), PitchEncoder())


def test_the_pipeline_links_voices_over_its_windows(baseline):
    sound = levels((12, 0.5), (9, -0.5), (4, 0.0), (8, 0.5), (2, 0.9))
    (speech,) = baseline.diarize(sound, (PUBLISHED_THRESHOLD,))
    reference = turns_only(("x", 0.0, 12.0), ("y", 12.0, 21.0), ("x", 25.0, 35.0), ("y", 33.0, 35.0))
    scores = score_diarization(reference, speech, 35.0)
    assert scores.counts.right == 1
    assert scores.collar.errors_s < 0.1


def test_thresholds_decide_how_many_speakers_there_are_and_do_not_disturb_each_other(baseline):
    low, high, again = baseline.diarize(levels((12, 0.5), (9, -0.5), (9, 0.5)), (0.7, 2.0, 0.7))
    assert (len(low.speakers), len(high.speakers)) == (2, 1)
    assert again == low


def test_silence_has_no_turns(baseline):
    assert [speech.turns for speech in baseline.diarize(levels((12, 0.0)), (0.7,))] == [()]


@pytest.mark.weights
def test_the_real_pipeline_on_the_sample_of_pyannote_audio():
    audio = Path(pyannote.audio.__file__).parent / "sample" / "sample.wav"
    item = BenchItem("sample", "sample", audio, read_reference(Path(audio)))
    (run,) = run_baseline([item], load_baseline(), pcm)
    (result,) = run.items
    assert result.speed.audio_s == 30.0
    assert result.scores.diarization.strict.rate < 0.07
    assert result.scores.diarization.counts.right == 1


def pcm(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 2**15
