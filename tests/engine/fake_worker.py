"""A deterministic worker in pure numpy, and the synthetic meetings that it understands.

Voices are tones: voice v (0..7) sings around 300 * (v + 1) Hz, a band 300 Hz wide, and each word of the vocabulary is
its own small step of pitch inside that band. So overlapped voices stay apart exactly, and every answer follows from the
sound alone, as with real models: nothing is looked up by index or time.

    script = [Line(0.5, voice=0, text="alpha bravo charlie"), Line(1.2, voice=3, text="hotel golf")]
    samples = meeting(script, duration_s=6.0)
    engine = fake_engine()          # a LocalEngine around FakeWorker; a Session over it writes the script back

With `recluster` a voice needs as much speech alone as `ReclusterRules` asks for to be somebody.
A word lasts 0.3 s and is followed by 0.1 s of silence. A request whose samples hold a NaN raises, and with it the whole
batch, like a model that meets bad data ("poison").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from app.core.times import SAMPLE_RATE, to_samples
from app.core.types import (
    Decoded,
    DecodedTurn,
    DecodeRequest,
    DecodeTurn,
    EngineSpec,
    Flag,
    FloatArray,
    FrameGrid,
    LocalDiarization,
    VoiceRun,
    Window,
    Word,
)
from app.engine.local import BatchRules, LocalEngine

NUM_VOICES = 8
VOCABULARY = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
WORD_SAMPLES = 4800
GAP_SAMPLES = 1600
CONFIDENCE = 0.875
MIN_RUN_SAMPLES = 3200

_BAND_HZ = 300.0
_STEP_HZ = 25.0
_FADE_SAMPLES = 240
_QUIET, _LOUD = 0.01, 0.04
_FILL_FRAMES = 8
_HOP_SAMPLES = 160
_WORD_FRAME_SAMPLES = 640
_TURN_MARGIN_SAMPLES = 1600

SPEC = EngineSpec(
    window_samples=5 * SAMPLE_RATE,
    grid=FrameGrid(step=400, offset=400),
    max_local_speakers=3,
    decoder="fake",
    max_decode_samples=30 * SAMPLE_RATE,
)
FRAME_SAMPLES = 800
NUM_FRAMES = (SPEC.window_samples - FRAME_SAMPLES) // SPEC.grid.step + 1


@dataclass(frozen=True, slots=True)
class Line:
    """One voice says words of the vocabulary, from `start_s` seconds on."""

    start_s: float
    voice: int
    text: str

    @property
    def end_s(self) -> float:
        """Where the last word ends."""
        return self.start_s + (len(self.text.split()) * (WORD_SAMPLES + GAP_SAMPLES) - GAP_SAMPLES) / SAMPLE_RATE


def say(voice: int, text: str, loudness: float = 0.2) -> FloatArray:
    """The words of `text` (all of the vocabulary) by one voice: (words * 6400 samples,) float32."""
    fade = 0.5 - 0.5 * np.cos(np.pi * np.arange(_FADE_SAMPLES) / _FADE_SAMPLES)
    envelope = np.concatenate([fade, np.ones(WORD_SAMPLES - 2 * _FADE_SAMPLES), fade[::-1], np.zeros(GAP_SAMPLES)])
    time_s = np.arange(len(envelope)) / SAMPLE_RATE
    words = [
        loudness * envelope * np.sin(2 * np.pi * _pitch_hz(voice, VOCABULARY.index(word)) * time_s)
        for word in text.split()
    ]
    return np.concatenate([np.zeros(0), *words]).astype(np.float32)


def window_of(samples: FloatArray, start: int = 0, index: int = 0) -> Window:
    """The window of a meeting's `samples` that begins at `start`, padded where they end; it owns all of itself."""
    sound = samples[start : start + SPEC.window_samples]
    padded = np.pad(sound, (0, SPEC.window_samples - len(sound)))
    return Window(index, start, padded, len(sound), start, start + len(sound))


def meeting(script: Sequence[Line], duration_s: float) -> FloatArray:
    """The sum of all lines: (samples,) float32. Raises ValueError when a line does not fit."""
    samples = np.zeros(to_samples(duration_s), dtype=np.float32)
    for line in script:
        start, sound = to_samples(line.start_s), say(line.voice, line.text)
        if start + len(sound) > len(samples):
            raise ValueError(f"{line} does not fit {duration_s} s")
        samples[start : start + len(sound)] += sound
    return samples


def _pitch_hz(voice: int, word: int) -> float:
    return _BAND_HZ * (voice + 1) + _STEP_HZ * (word - (len(VOCABULARY) - 1) / 2)


def _levels(samples: FloatArray, frame_samples: int, hop_samples: int) -> NDArray[np.float64]:
    """Amplitude of the tone in each voice's band: (frames, NUM_VOICES)."""
    hann = np.hanning(frame_samples)
    frames = sliding_window_view(samples, frame_samples)[::hop_samples]
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    frequency = np.fft.rfftfreq(frame_samples, 1 / SAMPLE_RATE)
    band = np.floor(frequency / _BAND_HZ - 0.5)
    sums = np.stack([power[:, band == voice].sum(axis=1) for voice in range(NUM_VOICES)], axis=1)
    return np.sqrt(4 * sums / (frame_samples * np.sum(hann**2)))


def _runs(on: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Spans [first, end) of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


class FakeWorker:
    """Diarizes and decodes what `meeting` makes. `batches` holds (step, size) of every batch that came in."""

    spec = SPEC
    identity = "fake"

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.closed = False

    def diarize_batch(self, windows: Sequence[Window]) -> list[LocalDiarization]:
        """Local speakers are numbered by who speaks first in the window; the quietest beyond three are dropped."""
        self.batches.append(("diarize", len(windows)))
        return [self._diarize(window) for window in windows]

    def decode_batch(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """Every asked turn gets the words of the voices that are heard in its speaker's turns rather than elsewhere."""
        self.batches.append(("decode", len(requests)))
        return [self._decode(request) for request in requests]

    def close(self) -> None:
        """Only noted."""
        self.closed = True

    def _diarize(self, window: Window) -> LocalDiarization:
        _refuse_nan(window.samples)
        if len(window.samples) != SPEC.window_samples:
            raise ValueError(f"a window has {SPEC.window_samples} samples, not {len(window.samples)}")
        levels = _levels(window.samples, FRAME_SAMPLES, SPEC.grid.step)
        activity = np.clip((levels - _QUIET) / (_LOUD - _QUIET), 0, 1).astype(np.float32)
        for voice in range(NUM_VOICES):
            runs = _runs(activity[:, voice] >= 0.5)
            for (_, end), (start, _) in pairwise(runs):
                if start - end <= _FILL_FRAMES:
                    activity[end:start, voice] = 1.0
        on = activity >= 0.5
        heard = sorted(np.flatnonzero(on.any(axis=0)).tolist(), key=lambda voice: -int(on[:, voice].sum()))
        kept = sorted(heard[: SPEC.max_local_speakers], key=lambda voice: (int(np.argmax(on[:, voice])), voice))
        return self._local(window, activity, levels, kept)

    def _local(
        self, window: Window, activity: FloatArray, levels: NDArray[np.float64], kept: list[int]
    ) -> LocalDiarization:
        mine = np.zeros((NUM_FRAMES, SPEC.max_local_speakers), dtype=np.float32)
        mine[:, : len(kept)] = activity[:, kept]
        on = activity >= 0.5
        origin = window.start + SPEC.grid.offset - SPEC.grid.step // 2
        runs = []
        for local_speaker, voice in enumerate(kept):
            for first, end in _runs(on[:, voice] & (on.sum(axis=1) == 1)):
                start, stop = (origin + i * SPEC.grid.step for i in (first, end))
                if stop - start >= MIN_RUN_SAMPLES and window.own_start <= (start + stop) // 2 < window.own_end:
                    spectrum = levels[first:end].mean(axis=0)
                    loudness = float(np.linalg.norm(spectrum))
                    sound = (spectrum / loudness if loudness > 0 else spectrum).astype(np.float32)
                    runs.append(VoiceRun(local_speaker, start, stop, sound))
        runs.sort(key=lambda run: (run.start, run.local_speaker))
        return LocalDiarization(window.start, window.end, mine, tuple(runs))

    def _decode(self, request: DecodeRequest) -> Decoded:
        _refuse_nan(request.samples)
        if len(request.samples) > SPEC.max_decode_samples:
            raise ValueError(f"a request has at most {SPEC.max_decode_samples} samples, not {len(request.samples)}")
        padded = np.pad(request.samples, _WORD_FRAME_SAMPLES // 2)
        on = _levels(padded, _WORD_FRAME_SAMPLES, _HOP_SAMPLES) >= 0.1
        words: dict[int, list[Word]] = {}
        for voice, speaker in _speakers_of_voices(request, on).items():
            words.setdefault(speaker, []).extend(_words(request, on[:, voice], voice))
        turns = tuple(_answer(turn, words.get(turn.speaker, [])) for turn in request.turns if turn.ask)
        heard = any(turn.words for turn in turns)
        return Decoded(turns, request.language or ("en" if heard else None))


def _refuse_nan(samples: FloatArray) -> None:
    if np.isnan(samples).any():
        raise ValueError("the sound holds NaN")


def _speakers_of_voices(request: DecodeRequest, on: NDArray[np.bool_]) -> dict[int, int]:
    """Voice -> the speaker whose turns it fits best (shared time over united time).

    A speaker may have several voices, when the diarization took two people for one: nothing that is said is lost.
    """
    speakers = sorted({turn.speaker for turn in request.turns})
    time = request.start + np.arange(len(on)) * _HOP_SAMPLES
    found: dict[int, tuple[float, int]] = {}
    for speaker in speakers:
        spans = [turn for turn in request.turns if turn.speaker == speaker]
        inside = np.logical_or.reduce([(time >= turn.start) & (time < turn.end) for turn in spans])
        for voice in np.flatnonzero(on[inside].any(axis=0)).tolist():
            score = float((inside & on[:, voice]).sum() / (inside | on[:, voice]).sum())
            found[voice] = max(found.get(voice, (score, speaker)), (score, speaker))
    return {voice: speaker for voice, (_, speaker) in found.items()}


def _words(request: DecodeRequest, on: NDArray[np.bool_], voice: int) -> list[Word]:
    """Every word of one voice in the request, by meeting time."""
    words = []
    for first, end in _runs(on):
        start, stop = first * _HOP_SAMPLES, min(end * _HOP_SAMPLES, len(request.samples))
        sound = request.samples[start:stop]
        if len(sound) < WORD_SAMPLES // 2:
            continue  # cut by the window's border: whose window holds all of it writes it
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), SAMPLE_RATE))
        low = int(_BAND_HZ * (voice + 0.5))
        pitch_hz = low + int(np.argmax(spectrum[low : low + int(_BAND_HZ)]))
        index = round((pitch_hz - _pitch_hz(voice, 0)) / _STEP_HZ)
        text = VOCABULARY[min(max(index, 0), len(VOCABULARY) - 1)]
        words.append(Word(text, request.start + start, request.start + stop, CONFIDENCE))
    return words


def _start(word: Word) -> int:
    return word.start


def _answer(turn: DecodeTurn, words: list[Word]) -> DecodedTurn:
    low, high = turn.start - _TURN_MARGIN_SAMPLES, turn.end + _TURN_MARGIN_SAMPLES
    mine = tuple(word for word in sorted(words, key=_start) if low <= (word.start + word.end) // 2 < high)
    return DecodedTurn(turn, mine, frozenset() if mine else frozenset({Flag.NO_SPEECH}))


def fake_engine(worker: FakeWorker | None = None, rules: BatchRules | None = None) -> LocalEngine:
    """A real LocalEngine (thread, batching and all) around the fake worker. Close it with `await engine.aclose()`."""
    return LocalEngine(worker or FakeWorker(), rules or BatchRules())
