"""`aframes`: the same frames, decoded in threads that end with the caller."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app.audio import AudioLimits, open_recording
from app.errors import AudioTooLong


def _threads():
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def test_equal_to_frames(media, pulses, read):
    path = media.encode("a.mp3", "libmp3lame", pulses([1.0], 5.3))

    async def collect():
        with open_recording(path, AudioLimits()) as recording:
            return [frames async for frames in recording.aframes()]

    np.testing.assert_array_equal(np.concatenate([f.samples for f in asyncio.run(collect())]), read(path)[0])


def test_the_loop_is_not_blocked_and_decoding_is_elsewhere(media, pulses, monkeypatch):
    path = media.encode("a.wav", "pcm_s16le", pulses([], 5.0))
    seen = []

    async def run():
        with open_recording(path, AudioLimits()) as recording:
            step = recording._next
            monkeypatch.setattr(recording, "_next", lambda: (seen.append(threading.current_thread()), step())[1])
            async for _ in recording.aframes():
                pass

    asyncio.run(run())
    assert threading.main_thread() not in seen
    assert len(seen) == 6


@pytest.mark.parametrize("after", [0, 1, 3])
def test_leaving_early_leaves_nothing_behind(media, pulses, after):
    path = media.encode("a.mp3", "libmp3lame", pulses([], 8.0))
    before = _threads()

    async def run():
        with open_recording(path, AudioLimits()) as recording:
            async for frames in recording.aframes():
                if frames.start >= after * 16_000:
                    break

    asyncio.run(run())
    assert _threads() == before


def test_cancelling_in_the_middle_of_a_decode(media, pulses):
    path = media.encode("a.mp3", "libmp3lame", pulses([], 30.0))
    before = _threads()

    async def consume(started):
        with open_recording(path, AudioLimits()) as recording:
            async for _ in recording.aframes():
                started.set()

    async def run():
        for _ in range(20):
            started = asyncio.Event()
            task = asyncio.create_task(consume(started))
            await started.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert _threads() == before


def test_closing_while_another_thread_decodes(media, pulses):
    path = media.encode("a.mp3", "libmp3lame", pulses([], 30.0))
    for delay_s in (0.0, 0.002, 0.01):
        recording = open_recording(path, AudioLimits())
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda frames: sum(len(item.samples) for item in frames), recording.frames())
            threading.Event().wait(delay_s)
            recording.close()
            error = reading.exception(timeout=10)
        assert error is None or "closed" in str(error)


def test_errors_arrive(media, pulses):
    path = media.encode("a.aac", "aac", pulses([], 10.0))

    async def run():
        with open_recording(path, AudioLimits(max_duration_s=5)) as recording:
            async for _ in recording.aframes():
                pass

    with pytest.raises(AudioTooLong):
        asyncio.run(run())
