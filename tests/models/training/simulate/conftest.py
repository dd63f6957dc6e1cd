"""Synthetic clips: every speaker a harmonic tone of a pitch of their own, with syllables, in near silence."""

import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE, Clip, FloatArray
from models.training.simulate.speech import Utterance

LEAD_S, TAIL_S = 0.3, 0.4


def voice(seconds: float, pitch_hz: float, seed: int) -> FloatArray:
    """A steady syllabic tone that starts and ends abruptly, so that its boundaries are known."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * pitch_hz * k * at + rng.uniform(0, 6)) / k for k in range(1, 8))
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4.0 * at)
    return np.asarray(0.1 * tone * syllables, dtype=np.float32)


def padded(samples: FloatArray, lead_s: float = LEAD_S, tail_s: float = TAIL_S) -> FloatArray:
    """The sound with near-silence before and after."""
    rng = np.random.default_rng(0)
    lead, tail = round(lead_s * SAMPLE_RATE), round(tail_s * SAMPLE_RATE)
    out = 1e-4 * rng.standard_normal(lead + len(samples) + tail)
    out[lead : lead + len(samples)] += samples
    return out.astype(np.float32)


def write_wav(path: Path, samples: FloatArray, rate: int = SAMPLE_RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(rate)
        target.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def write_manifest(folder: Path, rows: list[dict[str, object]], name: str = "manifest.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def manifest_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six speakers with ten clips of 1.0 to 3.7 s of speech each."""
    folder = tmp_path_factory.mktemp("clips")
    rows: list[dict[str, object]] = []
    for speaker in range(6):
        for clip in range(10):
            seconds = 1.0 + 0.3 * clip
            file = f"s{speaker}/{clip}.wav"
            write_wav(folder / file, padded(voice(seconds, 110.0 + 23.0 * speaker, 100 * speaker + clip)))
            row = {"file": file, "speaker": f"s{speaker}", "text": f"words {speaker} {clip}"}
            rows.append({**row, "duration": seconds + LEAD_S + TAIL_S})
    return write_manifest(folder, rows)


@pytest.fixture
def make_utterance() -> Callable[..., Utterance]:
    """Builds an utterance of noise of the given length in seconds, without any file."""

    def build(
        seconds: float, speaker: str = "s", name: str = "", pause: tuple[float, float] | None = None
    ) -> Utterance:
        length = round(seconds * SAMPLE_RATE)
        samples = np.asarray(0.1 * np.random.default_rng(length).standard_normal(length), dtype=np.float32)
        file = name or f"{speaker}-{seconds}"
        spans: tuple[tuple[int, int], ...] = ((0, length),)
        if pause is not None:
            spans = ((0, round(pause[0] * SAMPLE_RATE)), (round(pause[1] * SAMPLE_RATE), length))
        return Utterance(Clip(file, Path(file), speaker, f"text of {file}", seconds), samples, 0, spans)

    return build
