"""The real models behind the worker and behind a whole engine."""

from __future__ import annotations

import asyncio
import importlib.metadata
import wave
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from app.core.times import to_samples
from app.core.types import DecodeRequest, DecodeTurn, LocalDiarization, Window
from app.engine.build import EngineSettings, build_engine
from app.engine.probe import probe
from app.engine.settings import WorkerSettings
from app.engine.worker import ModelWorker

pytestmark = pytest.mark.weights

SETTINGS = WorkerSettings(device="cpu")
SAMPLE = Path(str(importlib.metadata.distribution("pyannote.audio").locate_file("pyannote/audio/sample/sample.wav")))
"""30 s of two people on the telephone, with its reference; comes with pyannote.audio."""


def sound() -> np.ndarray:
    with wave.open(str(SAMPLE)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_768


def reference() -> list[tuple[float, float, str]]:
    """(start, end, speaker) in seconds."""
    lines = [line.split() for line in SAMPLE.with_suffix(".rttm").read_text().splitlines()]
    return [(float(line[3]), float(line[3]) + float(line[4]), line[7]) for line in lines]


@pytest.fixture(scope="module")
def worker():
    made = ModelWorker.load(SETTINGS)
    yield made
    made.close()


def windows(worker: ModelWorker, *starts_s: float) -> list[Window]:
    samples, size, step = sound(), worker.spec.window_samples, worker.spec.grid.step
    starts = [to_samples(start_s) // step * step for start_s in starts_s]
    return [
        Window(i, start, samples[start : start + size], size, start, start + size) for i, start in enumerate(starts)
    ]


def test_two_people_are_found_where_the_reference_has_them(worker: ModelWorker) -> None:
    grid = worker.spec.grid
    for local in worker.diarize_batch(windows(worker, 8.0, 12.0, 16.0)):
        assert isinstance(local, LocalDiarization)
        times_s = (local.start + grid.offset + np.arange(len(local.activity)) * grid.step) / 16_000
        truth = np.stack(
            [
                np.logical_or.reduce([(times_s >= a) & (times_s < b) for a, b, who in reference() if who == name])
                for name in sorted({who for *_, who in reference()})
            ],
            axis=1,
        )
        active = local.activity >= 0.5
        heard = np.flatnonzero(active.mean(axis=0) > 0.05)
        assert len(heard) == 2
        agreement = max((active[:, list(order)] == truth).mean() for order in permutations(heard))
        assert agreement > 0.85
        voices = [
            np.sum([run.voice * (run.end - run.start) for run in local.runs if run.local_speaker == speaker], axis=0)
            for speaker in heard
        ]
        first, second = (voice / np.linalg.norm(voice) for voice in voices)
        assert first @ second < 0.5
        assert all(np.isclose(np.linalg.norm(run.voice), 1, atol=1e-5) for run in local.runs)


def test_a_window_has_one_answer_alone_and_in_a_batch(worker: ModelWorker) -> None:
    asked = windows(worker, 8.0, 12.0, 16.0)
    for together, window in zip(worker.diarize_batch(asked), asked, strict=True):
        (alone,) = worker.diarize_batch([window])
        assert isinstance(together, LocalDiarization)
        assert isinstance(alone, LocalDiarization)
        assert np.allclose(together.activity, alone.activity, atol=1e-4)
        assert len(together.runs) == len(alone.runs) > 0
        for a, b in zip(together.runs, alone.runs, strict=True):
            assert (a.local_speaker, a.start, a.end) == (b.local_speaker, b.start, b.end)
            assert np.allclose(a.voice, b.voice, atol=1e-4)


def test_what_is_asked_at_the_pauses_of_a_batch_changes_no_answer(worker: ModelWorker) -> None:
    def request(start_s: float, end_s: float) -> DecodeRequest:
        start, end = to_samples(start_s), to_samples(end_s)
        return DecodeRequest(0, start, sound()[start:end], (DecodeTurn(start, end, 0),), "en")

    long, urgent, window = request(10.0, 14.3), request(18.0, 21.5), windows(worker, 8.0)
    alone, urgent_alone = worker.decode_batch([long]), worker.decode_batch([urgent])
    pauses, urgent_within, windows_within = 0, [], []

    def interrupt() -> None:
        nonlocal pauses
        pauses += 1
        if pauses in (2, 9):  # what is asked here pauses as well
            urgent_within.append(worker.decode_batch([urgent]))
            windows_within.append(worker.diarize_batch(window))

    worker.on_pause(interrupt)
    try:
        assert worker.decode_batch([long]) == alone
    finally:
        worker.on_pause(lambda: None)
    window_alone = worker.diarize_batch(window)
    assert pauses > 20
    assert len(urgent_within) == 2
    assert all(answer == urgent_alone for answer in urgent_within)
    for (within,), (expected,) in zip(windows_within, [window_alone] * 2, strict=True):
        assert isinstance(within, LocalDiarization)
        assert isinstance(expected, LocalDiarization)
        assert np.array_equal(within.activity, expected.activity)
        assert [run.start for run in within.runs] == [run.start for run in expected.runs]


def test_an_engine_of_settings_passes_its_probe_and_writes_words() -> None:
    start, end = to_samples(10.0), to_samples(14.3)
    request = DecodeRequest(0, start, sound()[start:end], (DecodeTurn(start, end, 0),), "en")

    async def main() -> list[str]:
        engine = await build_engine(EngineSettings(worker=SETTINGS))
        try:
            await probe(engine)
            decoded = await engine.decode(request)
        finally:
            await engine.aclose()
        return [word.text.lower().strip(",.") for word in decoded.turns[0].words]

    words = asyncio.run(main())
    assert {"new", "jersey"} <= set(words)
