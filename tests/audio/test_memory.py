"""Arrays as frames, and what a long recording takes of memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import app
from app.audio.memory import afrom_array, from_array

MEASURE = """
import resource, sys
from pathlib import Path
from app.audio import AudioLimits, open_recording, Spool
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_recording(Path(sys.argv[1]), AudioLimits()) as recording, Spool(Path(sys.argv[1]).parent) as spool:
    for frames in recording.frames():
        spool.append(frames)
        spool.read(max(0, frames.end - 480_000), frames.end)
        if frames.end == 120 * 16_000:
            early = peak()
    assert not recording.warnings
print(spool.length, early, peak())
"""


@pytest.mark.parametrize("size", [1, 7, 1000, 5000])
def test_from_array(size):
    sound = np.arange(1003, dtype=np.float32)
    frames = list(from_array(sound, size))
    assert [frame.start for frame in frames] == list(range(0, 1003, size))
    np.testing.assert_array_equal(np.concatenate([frame.samples for frame in frames]), sound)

    async def collect():
        return [frame.start async for frame in afrom_array(sound, size)]

    assert asyncio.run(collect()) == [frame.start for frame in frames]


def test_wrong_arrays():
    with pytest.raises(ValueError, match=r"\(samples,\)"):
        next(from_array(np.zeros((2, 10), np.float32)))
    with pytest.raises(ValueError, match="positive"):
        next(from_array(np.zeros(10, np.float32), 0))


def _measure(path, minutes):
    """Peak memory (MB) after two minutes and at the end, decoding and storing in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(app.__file__).parents[1],
        timeout=280,
    )
    length, early, late = map(int, done.stdout.split())
    assert length == pytest.approx(minutes * 60 * 16_000, rel=0.01)
    return early / 1024, late / 1024


def test_memory_does_not_grow_with_length(media):
    """10 minutes of 44.1 kHz stereo, 106 MB of samples."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((2, 44_100)).astype(np.float32)
    path = media.write("a.wav", np.tile(sound, (1, 10 * 60)), 44_100)
    early, late = _measure(path, 10)
    assert late - early < 8


@pytest.mark.slow
def test_two_hours(media):
    sound = 0.1 * np.random.default_rng(0).standard_normal((2, 48_000 * 60)).astype(np.float32)
    minute = media.encode("a.mp3", "libmp3lame", sound, write_xing="0", id3v2_version="0").read_bytes()
    early, late = _measure(media.raw("long.mp3", minute * 120), 120)
    assert late - early < 8
