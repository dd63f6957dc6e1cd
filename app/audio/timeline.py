"""Decoded sound with its times -> one unbroken line of mono sound at 16 kHz, as long as the container says.

Where timestamps leave something out (damage, a paused recorder, sound that starts after the picture) silence is put, so
that every later word keeps the time that a player shows. No sound is ever dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.audio.limits import AudioLimits
from app.audio.media import AudioWarning, Warnings
from app.audio.mix import mix_down
from app.audio.packets import Sound
from app.audio.resample import Resampler, resampled_length
from app.core.times import SAMPLE_RATE
from app.core.types import FloatArray

TOLERANCE_S = 0.010
"""Timestamps are rounded (to 1 ms in Matroska and FLV) and jitter; smaller gaps wait until they add up to this."""
RESET_S = 1.0
"""A larger jump back is a clock that starts anew (joined files); a smaller one is jitter or overlap."""


class Timeline:
    """Joins sounds. Blocks of about a second are mixed down and resampled, so that no work is per packet."""

    def __init__(self, limits: AudioLimits, warnings: Warnings, channel: int | None, origin_s: float | None) -> None:
        """origin_s: time of the container at which the line starts, None = that of the first sound."""
        self._limits = limits
        self._warnings = warnings
        self._channel = channel
        self._origin_s = origin_s
        self._rate = SAMPLE_RATE
        self._resampler = Resampler(SAMPLE_RATE)
        self._stretch_start_s = 0.0
        self._stretch_samples = 0
        self._pending: list[FloatArray] = []
        self._pending_samples = 0
        self.has_sound = False

    @property
    def end_s(self) -> float:
        """Length of the line, in seconds."""
        return self._stretch_start_s + self._stretch_samples / self._rate

    def push(self, sound: Sound) -> Iterator[FloatArray]:
        """Stretches of the line, in order. Raises AudioTooLong."""
        if sound.rate != self._rate:
            yield from self._start_stretch(sound.rate)
        self.has_sound = True
        silence = round(self._gap_s(sound) * sound.rate)
        self._limits.check_duration(self.end_s + (silence + len(sound.samples)) / sound.rate)
        channels = sound.samples.shape[1]
        while silence > 0:
            step = min(silence, self._rate)
            yield from self._add(np.zeros((step, channels), np.float32))
            silence -= step
        yield from self._add(sound.samples)

    def flush(self) -> Iterator[FloatArray]:
        """The end of the line."""
        yield self._mix()
        yield self._resampler.flush()

    def _start_stretch(self, rate: int) -> Iterator[FloatArray]:
        yield from self.flush()
        # The line is whole samples at 16 kHz; the new stretch starts on one.
        self._stretch_start_s += resampled_length(self._stretch_samples, self._rate) / SAMPLE_RATE
        self._stretch_samples = 0
        self._rate = rate
        self._resampler = Resampler(rate)

    def _gap_s(self, sound: Sound) -> float:
        """Seconds of silence to put before the sound."""
        if sound.start_s is None:
            return 0.0
        if self._origin_s is None:
            self._origin_s = sound.start_s - self.end_s
        ahead_s = sound.start_s - self._origin_s - self.end_s
        if ahead_s > self._limits.max_gap_s or ahead_s < -RESET_S:
            self._warnings.add(AudioWarning.TIMESTAMPS)
            self._origin_s += ahead_s
        elif ahead_s > TOLERANCE_S:
            if self._stretch_samples:
                self._warnings.add(AudioWarning.GAPS)
            return ahead_s
        return 0.0

    def _add(self, samples: FloatArray) -> Iterator[FloatArray]:
        if self._pending and self._pending[0].shape[1] != samples.shape[1]:
            yield self._mix()
        self._pending.append(samples)
        self._pending_samples += len(samples)
        self._stretch_samples += len(samples)
        if self._pending_samples >= self._rate:
            yield self._mix()

    def _mix(self) -> FloatArray:
        if not self._pending:
            return np.zeros(0, np.float32)
        block = np.concatenate(self._pending)
        self._pending, self._pending_samples = [], 0
        mono, cancelled = mix_down(block, self._channel)
        if cancelled:
            self._warnings.add(AudioWarning.OUT_OF_PHASE)
        return self._resampler.push(mono)
