"""A live session at its edges: tentative text, names, failures, and tables that do not grow."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from app.core.live_windows import LiveWindower
from app.core.plan import Plan
from app.core.types import Decoded, DecodeRequest, FloatArray, Frames
from app.errors import EngineFailed
from app.live.blocks import LiveBlocks
from app.live.rules import LiveRules
from app.live.session import LiveSession
from app.live.updates import Final, Finished, KnownVoice, LiveOptions, Partial, Revision, Update
from tests.engine.fake_worker import SPEC, FakeWorker, Line, fake_engine, meeting, window_of

SOUND = meeting([Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel alpha bravo")], duration_s=8.0)


def voice_of(voice: int) -> FloatArray:
    """What the fake worker hears of a voice."""
    sound = meeting([Line(0.5, voice, "alpha bravo charlie delta echo foxtrot golf")], duration_s=5.0)
    return FakeWorker().diarize_batch([window_of(sound)])[0].runs[0].voice


async def session_of(options: LiveOptions, sound: FloatArray = SOUND) -> list[Update]:
    """All updates of one session."""
    engine = fake_engine()
    try:
        async with LiveSession(engine, options) as session:
            await session.push(sound)
            await session.stop()
            return [update async for update in session.updates()]
    finally:
        await engine.aclose()


def test_tentative_text_is_shown_and_ends_empty() -> None:
    async def main() -> list[Update]:
        engine = fake_engine()
        found: list[Update] = []
        shown = asyncio.Event()
        try:
            async with LiveSession(engine, LiveOptions()) as session:

                async def read() -> None:
                    async for update in session.updates():
                        found.append(update)
                        if isinstance(update, Partial) and update.segments:
                            shown.set()

                reader = asyncio.ensure_future(read())
                await session.push(SOUND[:40_000])
                await asyncio.wait_for(shown.wait(), 60)
                await session.push(SOUND[40_000:])
                await session.stop()
                await reader
        finally:
            await engine.aclose()
        return found

    partials = [update for update in asyncio.run(main()) if isinstance(update, Partial)]
    assert partials[0].segments[0].words[0].text == "alpha"
    assert partials[-1].segments == ()


@pytest.mark.parametrize(("enrolled", "named"), [(0, True), (5, False)])
def test_an_enrolled_voice_is_named_and_a_stranger_is_not(enrolled: int, named: bool) -> None:
    options = LiveOptions(known=(KnownVoice("p1", "Ada", voice_of(enrolled)),), partials=False)
    updates = asyncio.run(session_of(options))
    names = [name for update in updates if isinstance(update, Revision) for name in update.names.values()]
    assert names == (["Ada"] if named else [])
    last = updates[-1]
    assert isinstance(last, Finished)


def test_a_rename_is_a_revision() -> None:
    async def main() -> list[Update]:
        engine = fake_engine()
        try:
            async with LiveSession(engine, LiveOptions(partials=False)) as session:
                session.rename(0, " Ada ")
                with pytest.raises(ValueError, match="blank"):
                    session.rename(0, "  ")
                session.rename(0, "")
                await session.stop()
                return [update async for update in session.updates()]
        finally:
            await engine.aclose()

    revisions = [update for update in asyncio.run(main()) if isinstance(update, Revision)]
    assert [revision.names for revision in revisions] == [{0: "Ada"}, {0: ""}]


def test_an_engine_that_fails_is_told_to_reader_and_pusher() -> None:
    async def main() -> None:
        engine = fake_engine()
        try:
            async with LiveSession(engine, LiveOptions(partials=False)) as session:
                await session.push(np.full(32_000, np.nan, dtype=np.float32))
                with pytest.raises(EngineFailed):
                    [update async for update in session.updates()]
                with pytest.raises(EngineFailed):
                    await session.push(SOUND)
        finally:
            await engine.aclose()

    asyncio.run(main())


def test_the_state_does_not_grow_with_the_session() -> None:
    """Two voices in turn for ten minutes: the snapshot's size is flat after the first third."""
    rules = LiveRules()
    blocks, worker = LiveBlocks(SPEC, LiveOptions(), rules), FakeWorker()
    sounds = [meeting([Line(0.5, voice, "alpha bravo charlie delta echo foxtrot")], 5.0) for voice in (0, 3)]
    sizes = []
    for index in range(120):
        start = index * SPEC.window_samples
        window = window_of(np.pad(sounds[index % 2], (start, 0)), start, index)
        for plan in blocks.take(worker.diarize_batch([window])[0], cut=False):
            assert plan.turns
        sizes.append(len(repr(blocks.dump()["timeline"])) + len(repr(blocks.dump()["turns"])))
    assert max(sizes[40:]) <= 2 * max(sizes[:40])
    assert len(blocks.dump()["committed"]) <= 2


def test_finals_do_not_depend_on_tentative_text() -> None:
    with_partials, without = (asyncio.run(session_of(LiveOptions(partials=shown))) for shown in (True, False))
    finals = [[u.segment for u in updates if isinstance(u, Final)] for updates in (with_partials, without)]
    assert finals[0] == finals[1]
    assert finals[0]


def test_what_is_shown_of_a_turn_stays_until_its_final_takes_the_place() -> None:
    rules, worker = LiveRules(), FakeWorker()
    blocks = LiveBlocks(SPEC, LiveOptions(language="en"), rules)
    windower = LiveWindower(SPEC.window_samples, blocks.step_samples, rules.reach_samples, SPEC.grid.step)
    sound = meeting([Line(0.5, 0, "alpha bravo charlie")], 5.0)

    def asked(plan: Plan) -> Decoded:
        request = DecodeRequest(plan.index, plan.start, sound[plan.start : plan.end], plan.turns, "en")
        (answer,) = worker.decode_batch([request])
        assert isinstance(answer, Decoded)
        return answer

    shown = None
    for window in windower.push(Frames(0, sound)):
        plans = blocks.take(worker.diarize_batch([window])[0], cut=False)
        if plans:
            break
        preview = blocks.show(window.end)
        shown = shown if preview is None else asked(preview)
    assert shown is not None
    assert plans
    assert [word.text for it in blocks.tentative(shown) for word in it.words] == ["alpha", "bravo", "charlie"]
    assert [it.text for it in blocks.stitch(asked(plans[0]))] == ["alpha bravo charlie"]
    assert blocks.tentative(shown) == ()
