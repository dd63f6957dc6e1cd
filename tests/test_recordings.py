"""app/recordings.py: a file's way to its transcript, and what becomes of the recording's faults."""

from __future__ import annotations

import asyncio

import pytest

from app.audio import AudioLimits
from app.errors import AudioTooLong, AudioUnreadable
from app.recordings import Workplace, follow, transcribe_file
from app.session import Finished, Progress, SessionOptions
from tests.engine.fake_worker import fake_engine
from tests.transport.server import DURATION_S, TEXT, wav


@pytest.fixture
def run(tmp_path):
    """Run a coroutine made from a workplace; its folder must be empty again afterwards."""

    def run(make, **limits):
        async def inside():
            engine = fake_engine()
            try:
                return await make(Workplace(engine, AudioLimits(**limits), tmp_path / "work"))
            finally:
                await engine.aclose()

        result = asyncio.run(inside())
        assert list((tmp_path / "work").iterdir()) == []
        return result

    return run


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "meeting.wav"
    path.write_bytes(wav())
    return path


def test_updates_end_with_the_transcript(run, path):
    async def make(place):
        return [update async for update in follow(place, path, SessionOptions())]

    updates = run(make)
    assert isinstance(updates[-1], Finished)
    assert not any(isinstance(update, Finished) for update in updates[:-1])
    assert updates[-2] == Progress("decode", int(DURATION_S * 16_000), int(DURATION_S * 16_000))


def test_the_whole_and_the_stream_are_the_same(run, path):
    seen = []
    view = run(lambda place: transcribe_file(place, path, SessionOptions(), seen.append))
    assert seen[-1] == Finished(view)
    assert " ".join(segment.text for segment in view.segments) == TEXT
    assert view.warnings == ()


def test_faults_of_the_recording_are_told_in_the_transcript(run, path):
    path.write_bytes(wav()[:-40_000])
    view = run(lambda place: transcribe_file(place, path, SessionOptions()))
    assert view.warnings == ("audio_truncated",)


def test_limits_hold_while_decoding(run, path):
    with pytest.raises(AudioTooLong):
        run(lambda place: transcribe_file(place, path, SessionOptions()), max_duration_s=3.0)


def test_what_is_no_sound(run, path):
    path.write_bytes(b"no sound at all" * 99)
    with pytest.raises(AudioUnreadable):
        run(lambda place: transcribe_file(place, path, SessionOptions()))
