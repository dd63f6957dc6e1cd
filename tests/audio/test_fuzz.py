"""Damaged media of every kind, from a seed: each is sound or an error of ours, none hangs, none leaves anything."""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np
import pytest

from app.audio import AudioLimits, open_recording
from app.audio.limits import ProcessLimits
from app.errors import CrosstalkError

KINDS = {"a.wav": "pcm_s16le", "a.mp3": "libmp3lame", "a.webm": "libopus", "a.opus": "libopus", "a.flac": "flac"} | {
    "a.m4a": "aac"
}
LIMITS = AudioLimits(max_duration_s=600.0, process=ProcessLimits())


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits turned over, a header edited, a stretch gone or there twice, an end cut off."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(changed)))
        match int(rng.integers(5)):
            case 0:
                for bit in rng.integers(0, 8 * len(changed), int(rng.integers(1, 200))):
                    changed[bit // 8] ^= 1 << (bit % 8)
            case 1:
                at = int(rng.integers(min(400, len(changed))))
                changed[at : at + 4] = rng.bytes(4)
            case 2:
                del changed[at : at + int(rng.integers(1, 3000))]
            case 3:
                changed[at:at] = changed[at : at + int(rng.integers(1, 3000))]
            case _:
                del changed[max(100, at) :]
    return bytes(changed)


@pytest.mark.parametrize(
    "count", [5, pytest.param(340, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["few", "many"]
)
@pytest.mark.parametrize("name", KINDS)
def test_damaged_media(media, pulses, name, count):
    data = media.encode(name, KINDS[name], pulses([0.5, 1.5], 3.0)).read_bytes()
    rng = np.random.default_rng(1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(count):
        path = media.raw("mutant", mutated(data, rng))
        with suppress(CrosstalkError), open_recording(path, LIMITS) as recording:
            for _ in recording.frames():
                pass
    assert len(os.listdir("/proc/self/fd")) <= before
