"""WebM or Ogg with Opus that comes from a pipe, as browsers record it -> one line of frames and gaps, mono float32 at
16 kHz. Runs in the process that decodes (app/audio/jail)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np

from app.audio.container import OpenAudio
from app.audio.limits import AudioLimits
from app.audio.media import Warnings
from app.audio.mix import mix_down
from app.audio.packets import Decoder, Sound
from app.audio.resample import Resampler
from app.core.times import to_samples
from app.core.types import FloatArray, Frames
from app.errors import AudioFormatUnsupported, AudioUnreadable, NoAudioTrack

_CODECS = "opus,libopus"
_PROBE_BYTES = str(1 << 18)
_OPUS_RATE = 48_000
_TOLERANCE_S = 0.1
"""Recorders' timestamps jitter by tens of milliseconds; smaller gaps wait until they add up to this."""
MAX_GAP_S = 30.0
"""A longer jump of the timestamps is a recorder that was asleep, or a broken clock: joined, not filled."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that is missing: samples [start, end) of the session are silence instead; empty where it was joined."""

    start: int
    end: int
    reason: str


Heard = Frames | Gap


class Pipe(Protocol):
    """Where the bytes come from."""

    def read(self, size: int) -> bytes:
        """At least one byte, or none at the end."""

    def progressed(self) -> None:
        """Sound came out."""


def decode_opus(pipe: Pipe, name: str, limits: AudioLimits, line: Line) -> None:
    """A whole container of FFmpeg's name, from its first byte to its last. Raises AudioUnreadable, NoAudioTrack,
    AudioFormatUnsupported, av.FFmpegError, ValueError."""
    with av.open(
        pipe,
        mode="r",
        format=name,
        container_options={
            "format_whitelist": f"{name},webm",
            "codec_whitelist": _CODECS,
            "protocol_whitelist": "none",
            "probesize": _PROBE_BYTES,
        },
        metadata_errors="replace",
    ) as container:
        audio = _opus_of(container)
        for sound in Decoder(pipe, audio, limits, Warnings()).sounds():
            line.push(sound)
    line.flush()


def _opus_of(container: av.container.InputContainer) -> OpenAudio:
    if not container.streams.audio:
        raise NoAudioTrack("the container has no audio track", param="audio")
    stream = container.streams.audio[0]
    if stream.codec_context is None or stream.codec_context.codec.name not in _CODECS.split(","):
        raise AudioFormatUnsupported("the audio track is not Opus", param="audio")
    return OpenAudio(container, stream, None, None)


class Line:
    """Decoded packets -> one line of frames and gaps, `take` empties it."""

    def __init__(self, start: int) -> None:
        self._at = start
        self._resampler = Resampler(_OPUS_RATE)
        self._rate = _OPUS_RATE
        self._origin_s: float | None = None
        self._sound_s = 0.0
        self._filled_s = 0.0
        self._out: list[Heard] = []

    def push(self, sound: Sound) -> None:
        """Raises AudioUnreadable for timestamps that leave out more than there is."""
        if sound.rate != self._rate:
            self.flush()
            self._rate, self._resampler = sound.rate, Resampler(sound.rate)
        self._close_gap(sound)
        self._add(self._resampler.push(mix_down(sound.samples, None)[0]))
        self._sound_s += len(sound.samples) / sound.rate

    def flush(self) -> None:
        """The end, or a new rate."""
        self._add(self._resampler.flush())

    def take(self) -> list[Heard]:
        """What has come since the last call."""
        out, self._out = self._out, []
        return out

    def _close_gap(self, sound: Sound) -> None:
        if sound.start_s is None:
            return
        if self._origin_s is None:
            self._origin_s = sound.start_s
        ahead_s = sound.start_s - self._origin_s - self._sound_s - self._filled_s
        if abs(ahead_s) <= _TOLERANCE_S:
            return
        if not 0 < ahead_s <= MAX_GAP_S:
            self._origin_s += ahead_s
            self._out.append(Gap(self._at, self._at, "timestamps"))
            return
        # A few bytes may stand for half a minute: more silence than sound is no recording, but an attack.
        if self._filled_s + ahead_s > self._sound_s + 2 * MAX_GAP_S:
            raise AudioUnreadable("the container leaves out more sound than it holds", param="audio")
        self._filled_s += ahead_s
        self._out.append(Gap(self._at, self._at + to_samples(ahead_s), "damaged"))
        self._add(self._resampler.push(np.zeros(round(ahead_s * self._rate), np.float32)))

    def _add(self, samples: FloatArray) -> None:
        if len(samples):
            self._out.append(Frames(self._at, samples))
            self._at += len(samples)
