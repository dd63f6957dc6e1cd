"""The driver over a real engine thread and a worker that understands synthetic meetings: sound in, the script out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from app.audio import Spool
from app.audio.memory import afrom_array
from app.core.types import (
    Decoded,
    DecodeRequest,
    EngineSpec,
    Frames,
    LocalDiarization,
    SpeakerCount,
    TranscriptView,
    Window,
)
from app.engine.base import Engine
from app.engine.log import MemoryLog
from app.engine.replay import open_replay
from app.errors import EngineFailed
from app.session import Final, Finished, Progress, Session, SessionOptions, Update
from tests.engine.fake_worker import SPEC, Line, fake_engine, meeting

SCRIPT = [
    Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel"),
    Line(3.1, 1, "hotel golf foxtrot echo delta charlie bravo alpha hotel"),
    Line(8.0, 0, "delta echo alpha"),
    Line(9.4, 2, "golf golf alpha hotel bravo alpha echo"),
    Line(14.0, 1, "bravo alpha hotel"),
]
SOUND = meeting(SCRIPT, duration_s=18.0)


async def updates_of(
    engine: Engine, sound: np.ndarray, options: SessionOptions | None = None, frame_samples: int = 16_000
) -> list[Update]:
    with Spool() as spool:
        session = Session(engine, options or SessionOptions(), spool)
        return [update async for update in session.run(afrom_array(sound, frame_samples))]


def transcript(
    sound: np.ndarray = SOUND, options: SessionOptions | None = None, frame_samples: int = 16_000
) -> TranscriptView:
    async def main() -> list[Update]:
        engine = fake_engine()
        try:
            return await updates_of(engine, sound, options, frame_samples)
        finally:
            await engine.aclose()

    last = asyncio.run(main())[-1]
    assert isinstance(last, Finished)
    return last.view


def said(view: TranscriptView) -> list[tuple[int, str]]:
    return [(segment.speaker, segment.text) for segment in view.segments]


@pytest.mark.parametrize("recluster", [True, False])
def test_the_script_comes_back(recluster: bool) -> None:
    view = transcript(options=SessionOptions(recluster=recluster))
    assert said(view) == [(line.voice, line.text) for line in SCRIPT]
    assert view.duration == len(SOUND)
    assert view.language == "en"
    for segment, line in zip(view.segments, SCRIPT, strict=True):
        assert abs(segment.start / 16_000 - line.start_s) < 0.1
        assert abs(segment.end / 16_000 - line.end_s) < 0.1


def test_live_equals_batch() -> None:
    """The same blocks in the same order: voices that are easily told apart give the same segments both ways.

    (The turns may differ by overlap: live, somebody new who first speaks over another has no voice to be known by yet.)
    """
    live, batch = transcript(options=SessionOptions(recluster=False)), transcript()
    assert live.segments == batch.segments


@pytest.mark.parametrize("frame_samples", [160, 7_777, 400_000])
def test_any_chunking_gives_the_same(frame_samples: int) -> None:
    assert transcript(frame_samples=frame_samples) == transcript()


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(1), np.zeros(80_000), meeting([], 20.0)])
def test_no_speech_is_a_valid_empty_transcript(sound: np.ndarray) -> None:
    view = transcript(sound.astype(np.float32))
    assert (view.segments, view.turns, view.duration) == ((), (), len(sound))


def test_the_number_of_speakers_is_kept() -> None:
    assert {s for s, _ in said(transcript(options=SessionOptions(speakers=SpeakerCount(exact=1))))} == {0}
    assert len({s for s, _ in said(transcript(options=SessionOptions(speakers=SpeakerCount(max=2))))}) == 2


def test_updates_come_in_order_and_end_with_the_whole() -> None:
    async def main() -> list[Update]:
        engine = fake_engine()
        try:
            return await updates_of(engine, SOUND)
        finally:
            await engine.aclose()

    updates = asyncio.run(main())
    view = updates[-1]
    assert isinstance(view, Finished)
    assert sum(isinstance(update, Finished) for update in updates) == 1
    finals = [update.segment for update in updates if isinstance(update, Final)]
    assert tuple(finals) == view.view.segments
    for stage in ("diarize", "decode"):
        steps = [update for update in updates if isinstance(update, Progress) and update.stage == stage]
        assert [step.done for step in steps] == sorted(step.done for step in steps)
        assert steps[-1].done == len(SOUND)
    assert steps[-1].total == len(SOUND)


@dataclass
class Between:
    """An engine around an engine that notes what is asked, and fails at one decode request if told to."""

    inner: Engine
    fail_at: int | None = None
    languages: list[str | None] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    def spec(self) -> EngineSpec:
        return SPEC

    async def diarize(self, window: Window) -> LocalDiarization:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.inner.diarize(window)
        finally:
            self.in_flight -= 1

    async def decode(self, request: DecodeRequest) -> Decoded:
        self.languages.append(request.language)
        if request.index == self.fail_at:
            raise EngineFailed("the models failed on this window")
        return await self.inner.decode(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


LONG = meeting([Line(1.0 + 6.0 * i, i % 2, "alpha bravo charlie delta echo foxtrot golf") for i in range(20)], 121.0)


def test_the_language_is_detected_once() -> None:
    async def main() -> Between:
        engine = Between(fake_engine())
        await updates_of(engine, LONG)
        await engine.aclose()
        return engine

    engine = asyncio.run(main())
    assert len(engine.languages) > 3
    assert engine.languages == [None] + ["en"] * (len(engine.languages) - 1)
    assert 1 < engine.most_in_flight <= 16


def test_a_failure_of_the_engine_ends_the_session_with_its_error() -> None:
    async def main() -> None:
        engine = Between(fake_engine(), fail_at=1)
        try:
            await updates_of(engine, LONG)
        finally:
            assert engine.in_flight == 0, "work was left behind"
            await engine.aclose()

    with pytest.raises(EngineFailed, match="this window"):
        asyncio.run(main())


def test_a_failing_source_is_not_swallowed() -> None:
    async def broken() -> AsyncIterator[Frames]:
        yield Frames(0, SOUND[:16_000])
        raise OSError("the disk is gone")

    async def main() -> None:
        engine = fake_engine()
        try:
            with Spool() as spool:
                async for _ in Session(engine, SessionOptions(), spool).run(broken()):
                    pass
        finally:
            await engine.aclose()

    with pytest.raises(OSError, match="disk is gone"):
        asyncio.run(main())


def test_a_killed_session_goes_on_from_its_log() -> None:
    """Answers are logged; a second run over the log asks the engine only for what is missing and writes the same."""

    async def main() -> tuple[Update, Update, list[str | None]]:
        log = MemoryLog()
        first = Between(fake_engine(), fail_at=3)
        with pytest.raises(EngineFailed):
            await updates_of(await open_replay(log, first), LONG)
        second = Between(fake_engine())
        resumed = (await updates_of(await open_replay(log, second), LONG))[-1]
        whole = (await updates_of(second.inner, LONG))[-1]
        await first.aclose()
        await second.aclose()
        return resumed, whole, second.languages

    resumed, whole, asked = asyncio.run(main())
    assert resumed == whole
    assert 0 < len(asked) < 6


def test_sound_lies_on_disk_only_while_it_is_needed(tmp_path: Path) -> None:
    async def main() -> None:
        engine = fake_engine()
        with Spool(tmp_path) as spool:
            async for _ in Session(engine, SessionOptions(), spool).run(afrom_array(SOUND)):
                pass
            assert spool.length == len(SOUND)
        await engine.aclose()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []
