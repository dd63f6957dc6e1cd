"""Live captions against the driver for recordings: the same sound, and an engine whose answers follow from it alone.

What must be equal, and is checked here:

- The blocks over the same windows give the same segments, to the sample and the id, whether the windows come one by one
  as the sound does (`LiveSession`, any packets, any speed) or all at once from a list.
- The words of every speaker, in order, are those that `Session` writes for the whole recording, each within 20 ms of
  the same place: word times are those of 10 ms frames, counted from where a request begins.

What may differ: how many segments the words are cut into (a live monologue is cut sooner), and so their ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from app.audio.spool import Spool
from app.core.live_windows import LiveWindower
from app.core.plan import Plan
from app.core.types import Decoded, DecodeRequest, FloatArray, Frames, Segment, Word
from app.live.blocks import LiveBlocks
from app.live.rules import LiveRules
from app.live.session import LiveSession
from app.live.updates import Final, LiveOptions
from app.session import Finished, Session, SessionOptions
from tests.engine.fake_worker import SPEC, VOCABULARY, FakeWorker, Line, fake_engine, meeting

NEAR_SAMPLES = 320


def script(seed: int) -> list[Line]:
    """Three people in turn, with pauses and now and then an overlap of a word; long enough to be known apart."""
    rng = np.random.default_rng(seed)
    lines, at_s, last = list[Line](), 0.3, -1
    for number in range(9):
        voice = number if number < 3 else int(rng.choice([v for v in range(3) if v != last]))
        words = rng.choice(VOCABULARY, size=int(rng.integers(6, 12)))
        lines.append(Line(at_s, (0, 2, 5)[voice], " ".join(words)))
        at_s = round(lines[-1].end_s + float(rng.choice([-0.35, 0.3, 0.9, 2.0] if number > 3 else [0.9])), 2)
        last = voice
    return lines


def sound_of(lines: list[Line]) -> FloatArray:
    return meeting(lines, max(line.end_s for line in lines) + 1.0)


def live(sound: FloatArray, packets: list[int]) -> list[Segment]:
    """Finals of a session fed in packets of these sizes, over and over."""

    async def main() -> list[Segment]:
        engine, found, at, turn = fake_engine(), list[Segment](), 0, 0
        async with LiveSession(engine, LiveOptions(language="en", partials=False)) as session:
            while at < len(sound):
                size = packets[turn % len(packets)]
                await session.push(sound[at : at + size])
                at, turn = at + size, turn + 1
            await session.stop()
            async for update in session.updates():
                if isinstance(update, Final):
                    found.append(update.segment)
        await engine.aclose()
        return found

    return asyncio.run(main())


def all_at_once(sound: FloatArray) -> list[Segment]:
    """The same windows from a list, no session, no clock, no engine thread."""
    return [segment for _, segment in given_at(sound)]


def given_at(sound: FloatArray) -> list[tuple[int, Segment]]:
    """The same, each with the end of the sound by which it was given."""
    rules, worker = LiveRules(), FakeWorker()
    blocks = LiveBlocks(SPEC, LiveOptions(language="en", partials=False), rules)
    windower = LiveWindower(SPEC.window_samples, blocks.step_samples, rules.reach_samples, SPEC.grid.step)
    windows = windower.push(Frames(0, sound))
    last = windower.flush()
    found = list[tuple[int, Segment]]()

    def decode(plan: Plan) -> Decoded:
        request = DecodeRequest(plan.index, plan.start, sound[plan.start : plan.end], plan.turns, "en")
        return worker.decode_batch([request])[0]

    for window, cut in [
        *((it, False) for it in windows),
        *((it, True) for it in last),
        *([] if last else [(None, True)]),
    ]:
        local = None if window is None else worker.diarize_batch([window])[0]
        end = len(sound) if window is None else window.end
        for plan in blocks.take(local, cut):
            found += [(end, segment) for segment in blocks.stitch(decode(plan))]
        if not cut and (plan := blocks.peek()) is not None:
            found += [(end, segment) for segment in blocks.commit(decode(plan))[0]]
    return found


def batch(sound: FloatArray, folder: Path) -> tuple[Segment, ...]:
    """Segments of the whole recording."""

    async def frames() -> AsyncIterator[Frames]:
        for at in range(0, len(sound), 16_000):
            yield Frames(at, sound[at : at + 16_000])

    async def main() -> tuple[Segment, ...]:
        engine = fake_engine()
        try:
            with Spool(folder) as spool:
                async for update in Session(engine, SessionOptions(language="en"), spool).run(frames()):
                    if isinstance(update, Finished):
                        return update.view.segments
        finally:
            await engine.aclose()
        raise AssertionError("no transcript")

    return asyncio.run(main())


def by_speaker(segments: list[Segment] | tuple[Segment, ...]) -> dict[int, list[Word]]:
    """Words in order of time, speakers numbered by who is heard first."""
    numbers: dict[int, int] = {}
    found: dict[int, list[Word]] = {}
    for segment in sorted(segments, key=lambda it: it.start):
        number = numbers.setdefault(segment.speaker, len(numbers))
        found.setdefault(number, []).extend(segment.words)
    return {number: sorted(words, key=lambda it: it.start) for number, words in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_any_pace_gives_what_all_windows_at_once_give(seed: int) -> None:
    sound = sound_of(script(seed))
    whole = all_at_once(sound)
    sizes = np.random.default_rng(seed).integers(1, 40_000, size=50).tolist()
    assert live(sound, sizes) == whole
    assert live(sound, [len(sound)]) == whole
    assert whole


@pytest.mark.parametrize("seed", range(4))
def test_the_words_of_every_speaker_are_those_of_the_recording(seed: int, tmp_path: Path) -> None:
    lines = script(seed)
    sound = sound_of(lines)
    got, expected = by_speaker(live(sound, [1_600])), by_speaker(batch(sound, tmp_path))
    assert {s: [w.text for w in words] for s, words in got.items()} == {
        s: [w.text for w in words] for s, words in expected.items()
    }
    for speaker, words in got.items():
        for word, other in zip(words, expected[speaker], strict=True):
            assert abs(word.start - other.start) <= NEAR_SAMPLES
            assert abs(word.end - other.end) <= NEAR_SAMPLES
    assert sum(map(len, got.values())) == sum(len(line.text.split()) for line in lines)


def test_a_monologue_is_final_while_it_goes_on() -> None:
    """No word waits for the end of its turn, and each piece begins where the last one ended, to the word."""
    line = Line(0.5, 0, " ".join(VOCABULARY[i % len(VOCABULARY)] for i in range(60)))
    found = given_at(meeting([line], line.end_s + 1.0))
    assert [word.text for _, segment in found for word in segment.words] == line.text.split()
    assert max(end - word.end for end, segment in found for word in segment.words) < 4.5 * 16_000
    assert len(found) > line.end_s / 3
