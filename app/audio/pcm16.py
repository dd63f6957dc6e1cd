"""Frames -> 16-bit PCM, as the live client sends it. The inverse of `pcm.py`, exact for sound of 16 bits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from app.audio.recording import Recording
from app.core.types import FloatArray


def to_pcm16(samples: FloatArray) -> bytes:
    """(samples,) float32 in [-1, 1] as little-endian 16-bit integers."""
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()


async def pcm16_of(recording: Recording) -> AsyncIterator[bytes]:
    """The whole recording at 16 kHz, mono. Raises what the recording raises (app/errors.py)."""
    async for frames in recording.aframes():
        yield to_pcm16(frames.samples)
