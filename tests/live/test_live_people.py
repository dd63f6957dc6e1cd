"""Who is who in a live session: people who are known, named by hand, found to be one; all of that over a resume."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from app.core.reviser import Change, ReviserRules
from app.core.types import FloatArray
from app.errors import OptionInvalid
from app.live.blocks import LiveBlocks
from app.live.rules import LiveRules
from app.live.session import LiveSession
from app.live.snapshot import Snapshot
from app.live.updates import Ack, Final, KnownVoice, LiveOptions, Revision, Update
from tests.engine.fake_worker import SPEC, FakeWorker, Line, fake_engine, meeting, window_of

LINES = [
    Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel alpha bravo"),
    Line(5.0, 3, "hotel golf foxtrot echo delta charlie bravo alpha hotel golf"),
    Line(9.5, 0, "delta echo alpha bravo charlie delta echo"),
    Line(13.0, 3, "golf golf alpha hotel bravo golf alpha"),
]
SOUND = meeting(LINES, 17.0)


def voice_of(voice: int) -> FloatArray:
    """What the fake worker hears of a voice."""
    sound = meeting([Line(0.5, voice, "alpha bravo charlie delta echo foxtrot golf")], duration_s=5.0)
    return FakeWorker().diarize_batch([window_of(sound)])[0].runs[0].voice


KNOWN = (KnownVoice("p0", "Ada", voice_of(0)), KnownVoice("p3", "Bo", voice_of(3)), KnownVoice("p6", "Cy", voice_of(6)))


def session(
    options: LiveOptions, resume: Snapshot | None = None, rename: tuple[int, str] | None = None
) -> list[Update]:
    """All updates; with `rename` a name is given before the sound."""

    async def main() -> list[Update]:
        engine = fake_engine()
        try:
            async with LiveSession(engine, options, resume=resume) as live:
                if rename is not None:
                    live.rename(*rename)
                await live.push(SOUND[live.from_samples :])
                await live.stop()
                return [update async for update in live.updates()]
        finally:
            await engine.aclose()

    return asyncio.run(main())


def names(updates: list[Update]) -> dict[int, str]:
    """As a client has them at the end."""
    found: dict[int, str] = {}
    for update in updates:
        if isinstance(update, Revision):
            found |= update.names
    return found


def acks(updates: list[Update]) -> list[tuple[int, Snapshot]]:
    """(place, snapshot as it comes out of the store)"""
    return [(i, Snapshot.load(it.snapshot.dump())) for i, it in enumerate(updates) if isinstance(it, Ack)]


def test_known_people_are_named_each_once_and_strangers_are_not() -> None:
    updates = session(LiveOptions(known=KNOWN, partials=False))
    assert names(updates) == {0: "Ada", 1: "Bo"}


def test_a_voice_of_another_model_names_nobody() -> None:
    other = KnownVoice("x", "Xi", np.ones(7, dtype=np.float32) / np.float32(7**0.5))
    assert names(session(LiveOptions(known=(other,), partials=False))) == {}


def test_a_name_given_by_hand_is_not_overruled_by_a_voice() -> None:
    updates = session(LiveOptions(known=KNOWN, partials=False), rename=(0, "Eve"))
    assert names(updates) == {0: "Eve", 1: "Bo"}


def test_names_are_the_same_over_a_resume_at_any_place() -> None:
    options = LiveOptions(known=KNOWN, partials=False)
    whole = session(options, rename=(0, "Eve"))
    assert len(acks(whole)) >= 2
    for place, snapshot in acks(whole):
        again = session(options, snapshot)
        assert names([*whole[:place], *again]) == names(whole)
        assert [it for it in again if isinstance(it, Final)] == [it for it in whole[place:] if isinstance(it, Final)]


def test_a_name_given_after_the_snapshot_and_given_again_by_the_store_stays() -> None:
    options = LiveOptions(known=KNOWN, partials=False)
    _, first = acks(session(options))[0]
    assert names(session(options, first, rename=(1, "Eve")))[1] == "Eve"


@pytest.mark.parametrize(("speaker", "name"), [(-1, "A"), (256, "A"), (1 << 30, "A"), (0, "  ")])
def test_a_name_for_nobody_or_of_nothing_is_refused(speaker: int, name: str) -> None:
    with pytest.raises(ValueError, match=r"speakers|blank"):
        LiveBlocks(SPEC, LiveOptions(), LiveRules()).rename(speaker, name)


def test_when_two_speakers_turn_out_to_be_one_the_name_goes_with_them() -> None:
    blocks, worker = LiveBlocks(SPEC, LiveOptions(), LiveRules()), FakeWorker()
    for index, start in enumerate((0, 80_000)):
        window = window_of(SOUND, start, index)
        blocks.take(worker.diarize_batch([window])[0], cut=False)
    blocks.rename(1, "Maya")
    assert blocks._apply(Change({"seg_000001": 0}, {1: 0})) == {0: "Maya"}
    assert blocks.names[0] == "Maya"
    assert blocks.resolve(1) == 0
    heir = LiveBlocks(SPEC, LiveOptions(), LiveRules())
    heir.restore(blocks.dump())
    assert (heir.resolve(1), heir.names) == (0, blocks.names)
    assert heir.dump() == blocks.dump()


def test_a_session_that_merges_speakers_goes_on_alike_after_a_resume() -> None:
    """Every voice is taken for a new one at first; each later look makes them two again."""
    rules = LiveRules()
    rules = replace(
        rules,
        tracker=replace(rules.tracker, threshold=1.01),
        reviser=ReviserRules(every_samples=64_000, threshold=0.6, min_speaker_samples=16_000),
        ack_samples=16_000,
    )

    def run(resume: Snapshot | None = None) -> list[Update]:
        async def main() -> list[Update]:
            engine = fake_engine()
            async with LiveSession(engine, LiveOptions(partials=False), rules, resume) as live:
                await live.push(SOUND[live.from_samples :])
                await live.stop()
                found = [update async for update in live.updates()]
            await engine.aclose()
            return found

        return asyncio.run(main())

    def told(updates: list[Update]) -> list[Update]:
        return [it for it in updates if isinstance(it, Final | Revision)]

    whole = run()
    finals = [it.segment for it in whole if isinstance(it, Final)]
    revisions = [it for it in whole if isinstance(it, Revision)]
    assert any(it.speakers for it in revisions), "nothing was revised: the test shows nothing"
    given: set[str] = set()
    for update in whole:
        if isinstance(update, Final):
            assert update.segment.id not in given
            given.add(update.segment.id)
        elif isinstance(update, Revision):
            assert set(update.speakers) <= given, "a revision of a segment that was not given yet"
    assert len(finals) == len(given)
    for place, snapshot in acks(whole):
        assert told(run(snapshot)) == told(whole[place:])


def test_marks_and_flushes_without_end_are_held_back() -> None:
    async def main() -> None:
        engine = fake_engine()
        rules = replace(LiveRules(), max_marks=3, max_flushes=2)
        async with LiveSession(engine, LiveOptions(partials=False), rules) as live:
            for number in range(3):
                await live.mark(str(number))
            with pytest.raises(OptionInvalid, match="3 marks wait"):
                await live.mark("one too many")
            await live.flush("a")
            for number in range(20):  # each waits until there is room: none is lost, none piles up
                await live.flush(str(number))
                assert live._asked_flushes <= 2
            await live.stop()
            async for _ in live.updates():
                pass
        await engine.aclose()

    asyncio.run(main())
