"""Raw sound that arrives in pieces (16-bit, float, µ-law, A-law) -> frames: mono float32 at 16 kHz.

Pieces may have any size, also less than a sample; the result is the same as in one piece. The companding laws are those
of ITU-T G.711.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.audio.limits import AudioLimits
from app.audio.mix import mix_down
from app.audio.resample import Resampler
from app.core.types import FloatArray, Frames
from app.errors import AudioUnreadable

RawEncoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]

_BYTES: dict[RawEncoding, int] = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}
_BLOCKS_PER_S = 50
"""Several channels are mixed in blocks of 20 ms: whether they cancel each other must not depend on the pieces' size."""
_HEADERS = {b"RIFF": "a WAV file", b"OggS": "Ogg", b"\x1a\x45\xdf\xa3": "WebM", b"fLaC": "FLAC"}


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How raw sound is written: rate in Hz, channels interleaved."""

    encoding: RawEncoding
    rate: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return _BYTES[self.encoding] * self.channels


class RawStream:
    """One connection's raw sound. `start`: the session's sample (16 kHz) at which it begins."""

    def __init__(self, form: RawFormat, limits: AudioLimits, start: int = 0) -> None:
        """Raises AudioFormatUnsupported."""
        limits.check_format(form.rate, form.channels)
        self._format = form
        self._resampler = Resampler(form.rate)
        self._block_bytes = form.frame_bytes * (1 if form.channels == 1 else max(1, form.rate // _BLOCKS_PER_S))
        self._rest = b""
        self._head: bytes | None = b""
        self._at = start

    def push(self, data: bytes) -> list[Frames]:
        """What the bytes completed. Raises AudioUnreadable for a first piece that is the start of a file instead."""
        self._check_head(data)
        data = self._rest + data
        whole = len(data) // self._block_bytes * self._block_bytes
        self._rest = data[whole:]
        return self._frames([self._resampler.push(mono) for mono in self._mix(data[:whole])])

    def flush(self) -> list[Frames]:
        """The end of this connection's sound; part of a sample that is left over is none."""
        whole = len(self._rest) // self._format.frame_bytes * self._format.frame_bytes
        tail = [self._resampler.push(mono) for mono in self._mix(self._rest[:whole])]
        self._rest = b""
        return self._frames([*tail, self._resampler.flush()])

    def close(self) -> None:
        """Nothing is held."""

    def _check_head(self, data: bytes) -> None:
        if self._head is None:
            return
        self._head = (self._head + data[:4])[:4]
        if len(self._head) == 4:
            found = _HEADERS.get(self._head)
            self._head = None
            if found is not None:
                raise AudioUnreadable(
                    f"the sound begins like {found}, but was announced as {self._format.encoding}", param="audio"
                )

    def _mix(self, data: bytes) -> list[FloatArray]:
        if not data:
            return []
        samples = _to_float(data, self._format.encoding).reshape(-1, self._format.channels)
        if self._format.channels == 1:
            return [samples[:, 0]]
        step = self._block_bytes // self._format.frame_bytes
        return [mix_down(samples[at : at + step], None)[0] for at in range(0, len(samples), step)]

    def _frames(self, parts: list[FloatArray]) -> list[Frames]:
        samples = np.concatenate([np.zeros(0, np.float32), *parts])
        if not len(samples):
            return []
        frames = Frames(self._at, samples)
        self._at = frames.end
        return [frames]


def _to_float(data: bytes, encoding: RawEncoding) -> FloatArray:
    """(samples,) float32 in [-1, 1]; NaN and infinity become 0, as for recordings."""
    if encoding == "pcm_s16le":
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15)
    if encoding == "pcm_f32le":
        samples = np.frombuffer(data, "<f4")
        return np.clip(np.where(np.isfinite(samples), samples, 0.0), -1.0, 1.0).astype(np.float32)
    table = _mulaw_table() if encoding == "mulaw" else _alaw_table()
    return table[np.frombuffer(data, np.uint8)]


@cache
def _mulaw_table() -> FloatArray:
    """Value of each of the 256 codes, (256,) float32; G.711 table 2."""
    code: NDArray[np.int64] = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 2**15).astype(np.float32)


@cache
def _alaw_table() -> FloatArray:
    """Value of each of the 256 codes, (256,) float32; G.711 table 1."""
    code: NDArray[np.int64] = np.arange(256) ^ 0x55
    exponent, mantissa = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 2**15).astype(np.float32)
