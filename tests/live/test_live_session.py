"""A live session over a worker that understands synthetic meetings: the script comes back, however the sound comes."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from app.core.types import Segment
from app.live.rules import LiveRules
from app.live.session import LiveSession
from app.live.snapshot import BadSnapshot, Snapshot
from app.live.updates import Ack, Final, Finished, Flushed, LiveOptions, Marked, Update
from tests.engine.fake_worker import Line, fake_engine, meeting

SCRIPT = [
    Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel"),
    Line(5.1, 1, "hotel golf foxtrot echo delta charlie bravo alpha hotel"),
    Line(10.0, 0, "delta echo alpha bravo charlie delta"),
    Line(11.0, 1, "golf golf alpha hotel bravo"),
    Line(15.0, 1, "bravo alpha hotel"),
]
SOUND = meeting(SCRIPT, duration_s=20.0)


def live(
    sound: np.ndarray = SOUND,
    packet: int = 1600,
    resume: Snapshot | None = None,
    checkpoint_at: int = -1,
    rules: LiveRules | None = None,
) -> list[Update]:
    async def main() -> list[Update]:
        engine = fake_engine()
        try:
            async with LiveSession(engine, LiveOptions(partials=False), rules, resume) as session:
                found: list[Update] = []

                async def read() -> None:
                    async for update in session.updates():
                        found.append(update)

                reader = asyncio.ensure_future(read())
                for at in range(session.from_samples, len(sound), packet):
                    await session.push(sound[at : at + packet])
                    await asyncio.sleep(0)
                    if at <= checkpoint_at < at + packet:
                        session.checkpoint()
                await session.mark("end")
                await session.stop()
                await reader
                return found
        finally:
            await engine.aclose()

    return asyncio.run(main())


def finals(updates: list[Update]) -> list[Segment]:
    return [update.segment for update in updates if isinstance(update, Final)]


def test_the_script_comes_back_once() -> None:
    updates = live()
    assert isinstance(updates[-1], Finished)
    assert updates[-1].segments == len(finals(updates))
    for voice in (0, 1):
        words = [word.text for s in finals(updates) if s.speaker == voice for word in s.words]
        assert words == [word for line in SCRIPT if line.voice == voice for word in line.text.split()]
    starts = [s.start for s in finals(updates)]
    assert starts == sorted(starts)
    assert Marked("end") in updates


@pytest.mark.parametrize(
    ("script", "duration_s"),
    [
        # A second voice begins within the first one's last words.
        (
            [
                Line(0.5, 0, "alpha bravo charlie delta echo foxtrot golf hotel"),
                Line(3.1, 3, "hotel golf foxtrot echo delta charlie bravo alpha hotel"),
                Line(8.0, 0, "delta echo alpha"),
            ],
            10.0,
        ),
        # Speech from the first sample to the last.
        (
            [Line(0.0, 2, "golf alpha bravo charlie delta echo"), Line(4.0, 5, "hotel golf echo delta alpha golf")],
            6.4,
        ),
    ],
)
@pytest.mark.parametrize("packet", [1600, 500_000])
def test_no_word_is_lost_at_the_start_the_change_or_the_end(script: list[Line], duration_s: float, packet: int) -> None:
    found = finals(live(meeting(script, duration_s), packet))
    for voice in {line.voice for line in script}:
        said = [word for line in script if line.voice == voice for word in line.text.split()]
        first = next(line for line in script if line.voice == voice).start_s
        speaker = min(found, key=lambda it: abs(it.start - first * 16_000)).speaker
        assert [word.text for s in found if s.speaker == speaker for word in s.words] == said


@pytest.mark.parametrize("packet", [333, 7_777, 320_000])
def test_any_packet_size_gives_the_same_finals(packet: int) -> None:
    assert finals(live(packet=packet)) == finals(live())


def test_a_resumed_session_goes_on_exactly() -> None:
    whole = live()
    acks = [i for i, update in enumerate(whole) if isinstance(update, Ack)]
    assert len(acks) >= 2
    for place in acks:
        ack = whole[place]
        assert isinstance(ack, Ack)
        again = live(resume=Snapshot.load(ack.snapshot.dump()))
        assert finals(again) == finals(whole[place:])


@pytest.mark.parametrize("at_s", [3.3, 8.2, 13.5])
def test_a_checkpoint_comes_when_it_is_asked_for_and_changes_nothing(at_s: float) -> None:
    at = int(at_s * 16_000)
    usual = [update.snapshot.state for update in live() if isinstance(update, Ack)]
    updates = live(checkpoint_at=at)
    assert finals(updates) == finals(live())
    asked = [it for it in updates if isinstance(it, Ack) and it.snapshot.state not in usual]
    assert 0 <= at - int(asked[0].snapshot.state["done"]) < 16_000, "all windows so far are in it"
    again = live(resume=Snapshot.load(asked[0].snapshot.dump()))
    assert finals(again) == finals(updates[updates.index(asked[0]) :])


def test_a_foreign_snapshot_is_refused() -> None:
    with pytest.raises(BadSnapshot):
        Snapshot.load(b"{}")
    with pytest.raises(BadSnapshot):
        live(resume=Snapshot(0, {"spec": "other"}))


def test_flush_makes_everything_final_and_the_session_goes_on() -> None:
    async def main() -> list[Update]:
        engine = fake_engine()
        async with LiveSession(engine, LiveOptions(partials=False)) as session:
            await session.push(SOUND[:32_000])
            await session.flush("now")
            await session.push(SOUND[32_000:])
            await session.stop()
            found = [update async for update in session.updates()]
        await engine.aclose()
        return found

    updates = asyncio.run(main())
    before = finals(updates[: updates.index(Flushed("now"))])
    assert [word.text for s in before for word in s.words][:3] == ["alpha", "bravo", "charlie"]
    assert len([word for s in finals(updates) for word in s.words]) >= 30


@pytest.mark.parametrize("at", [32_000, 53_333, 176_000])
def test_a_flush_is_in_the_snapshot_that_comes_with_it(at: int) -> None:
    def run(snapshot: Snapshot | None, flush_again: bool) -> list[Update]:
        async def main() -> list[Update]:
            engine = fake_engine()
            async with LiveSession(engine, LiveOptions(partials=False), resume=snapshot) as session:
                await session.push(SOUND[session.from_samples : at])
                if snapshot is None or flush_again:
                    await session.flush("now")
                await session.push(SOUND[at:])
                await session.stop()
                found = [update async for update in session.updates()]
            await engine.aclose()
            return found

        return asyncio.run(main())

    whole = run(None, False)
    place = whole.index(Flushed("now"))
    ack = whole[place - 1]
    assert isinstance(ack, Ack)
    snapshot = Snapshot.load(ack.snapshot.dump())
    assert finals(whole[place:])
    for flush_again in (False, True):
        assert finals(run(snapshot, flush_again)) == finals(whole[place:])


def test_a_flush_answers_the_marks_before_it_without_more_sound() -> None:
    async def main() -> None:
        engine = fake_engine()
        async with LiveSession(engine, LiveOptions(partials=False)) as session:
            await session.push(SOUND[:60_000])
            await session.mark("here")
            assert session.waiting_marks == 1
            await session.flush()
            async with asyncio.timeout(60):
                async for update in session.updates():
                    if update == Marked("here"):
                        break
            assert session.waiting_marks == 0
        await engine.aclose()

    asyncio.run(main())
