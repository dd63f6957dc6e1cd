"""Prepared windows -> what the target-speaker model learns from: one example per speaker of a window.

The clip holds all turns of the speaker, the text is what the speaker says in them. An example depends on (seed, epoch,
its place) alone, so that a resumed run sees the same as one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from models.asr.features import CHUNK_SAMPLES, FRAME_SAMPLES, SAMPLE_RATE_HZ, LogMel
from models.asr.tokens import WhisperTokens
from models.target.masks import stno
from models.target.training import IGNORED, TargetBatch
from models.training.augment import NOTHING, Masked, at_speed, draw_masks, played_at
from models.training.examples import UNDISTURBED, case_of, moved, shuffled
from models.training.recipe import PerturbSettings
from models.training.shards import PreparedWindow, read_sound
from models.training.style import restore

_MARGIN = 4_800
_MARGINS = (1_600, 8_000)
# Silence behind the longest clip of a batch. Decoding has 4 s; less is cheaper, and all the same to what is learned.
_SILENCE_S, _TRAINING_SILENCE_S = 4.0, 2.0
_MOST_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Part:
    """One speaker of a window."""

    window: PreparedWindow
    speaker: int

    @property
    def name(self) -> str:
        """Unique in a set."""
        return f"{self.window.name}/{self.speaker}"


@dataclass(frozen=True, slots=True)
class TargetExample:
    """sound: (samples,) float32; target, others: turns in samples of it; ids, labels: (positions,) int64.

    masked: what is blotted out of the spectrogram.
    """

    sound: NDArray[np.float32]
    target: tuple[tuple[int, int], ...]
    others: tuple[tuple[int, int], ...]
    ids: torch.Tensor
    labels: torch.Tensor
    silence_s: float
    masked: Masked = NOTHING

    @property
    def length(self) -> int:
        """How long it is, for batches of like length."""
        return len(self.sound)


class TargetExamples:
    """Makes examples from the windows of a prepared set."""

    def __init__(self, windows: Sequence[PreparedWindow], tokens: WhisperTokens, bands: int, seed: int) -> None:
        """bands: of the model's spectrograms."""
        self.windows = [
            Part(window, speaker)
            for window in windows
            for speaker in range(len(window.speakers))
            if any(turn.speaker == speaker for turn in window.turns)
        ]
        self._tokens = tokens
        self._seed = seed
        self._bands = bands
        self._mel: dict[str, LogMel] = {}
        self._case = case_of(windows)

    def order(self, epoch: int) -> list[int]:
        """The places of an epoch, shuffled."""
        return shuffled(len(self.windows), self._seed, epoch)

    def reference(self, part: Part) -> str:
        """The formatted text that the model should write for a speaker."""
        own = [turn for turn in part.window.turns if turn.speaker == part.speaker]
        return " ".join(text for turn in own if (text := restore(turn.text, turn.first_pass, self._case)))

    def make(self, index: int, epoch: int, perturb: PerturbSettings) -> TargetExample:
        """Number `index` as it is in an epoch."""
        part, calm = self.windows[index], perturb is UNDISTURBED
        rng = np.random.default_rng([self._seed, epoch, index])
        sound, speed = read_sound(part.window), 1.0
        if perturb.speed > 0:
            speed = 1.0 + float(rng.uniform(-perturb.speed, perturb.speed))
            sound = played_at(sound, speed)
        target, others = [], []
        for turn in part.window.turns:
            span = moved(at_speed(turn, speed), len(sound), perturb.jitter_samples, rng)
            if turn.speaker == part.speaker:
                target.append(span)
            elif rng.random() >= perturb.drop_other:
                others.append(span)
        margin = _MARGIN if calm else int(rng.integers(*_MARGINS))
        start = max(0, min(span[0] for span in target) - margin)
        end = min(len(sound), max(span[1] for span in target) + margin, start + CHUNK_SAMPLES)
        ids, labels = self._text(self.reference(part))
        return TargetExample(
            sound[start:end],
            tuple((first - start, last - start) for first, last in target),
            tuple((first - start, last - start) for first, last in others),
            ids,
            labels,
            _SILENCE_S if calm else _TRAINING_SILENCE_S,
            draw_masks(end - start, self._bands, rng) if perturb.mask > 0 and rng.random() < perturb.mask else NOTHING,
        )

    def collate(self, examples: Sequence[TargetExample], device: str) -> TargetBatch:
        """Examples together, on a device."""
        seconds = max(math.ceil(item.length / SAMPLE_RATE_HZ + item.silence_s) for item in examples)
        samples = min(seconds * SAMPLE_RATE_HZ, CHUNK_SAMPLES)
        mel = self._mel.setdefault(device, LogMel(self._bands, device))
        masks = [stno(item.target, item.others, item.length, samples // FRAME_SAMPLES) for item in examples]
        spectrogram = mel([item.sound for item in examples], samples)
        for row, item in zip(spectrogram, examples, strict=True):
            item.masked.blot(row)
        return TargetBatch(
            spectrogram,
            torch.from_numpy(np.stack(masks)).to(device),
            pad_sequence([item.ids for item in examples], True, self._tokens.end).to(device),
            pad_sequence([item.labels for item in examples], True, IGNORED).to(device),
        )

    def _text(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder reads, and what it should write after each token: a text and the end mark."""
        tokens = self._tokens
        language = [tokens.languages["en"]] if tokens.languages else []
        task = [tokens.transcribe] if tokens.languages else []
        prompt = [tokens.start, *language, *task, tokens.no_timestamps]
        written = tokens.encode(" " + text)[:_MOST_TOKENS] if text else []
        labels = [IGNORED] * (len(prompt) - 1) + [*written, tokens.end]
        return torch.tensor(prompt + written, dtype=torch.long), torch.tensor(labels, dtype=torch.long)
