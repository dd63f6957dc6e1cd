"""Second thoughts: resumable, bounded, one voice under two numbers found, two people told apart kept apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.reviser import Reviser, ReviserRules
from app.core.types import LocalDiarization, Segment, SpeakerCount, VoiceRun
from tests.core.strategies import GRID, voices
from tests.core.test_live_block_laws import seeds, written


@st.composite
def hearings(draw: st.DrawFn) -> list[tuple[VoiceRun, int]]:
    """(run, speaker heard live): two or three people, sometimes taken for one another."""
    people = voices(np.random.default_rng(draw(seeds)), 3)
    heard, at = [], 0
    for _ in range(draw(st.integers(0, 60))):
        person = draw(st.integers(0, 2))
        length = draw(st.integers(10_000, 60_000))
        speaker = person if draw(st.integers(0, 5)) else draw(st.integers(0, 4))
        heard.append((VoiceRun(draw(st.integers(0, 2)), at, at + length, people[person]), speaker))
        at += length
    return heard


def window_of(heard: list[VoiceRun], number: int) -> LocalDiarization:
    """The window in which the run of that number is heard last: it sees the runs of some ten seconds before."""
    run_ = heard[number]
    start = max(0, run_.end - 160_000) // GRID.step * GRID.step
    activity = np.zeros((-(-(run_.end - start) // GRID.step), 3), dtype=np.float32)
    for it in heard[: number + 1]:
        first = max(0, (it.start - start) // GRID.step)
        activity[first : max(0, (it.end - start) // GRID.step), it.local_speaker] = 1.0
    return LocalDiarization(start, run_.end, activity, (run_,))


class TestReviser:
    rules = ReviserRules(every_samples=200_000, max_cells=20, max_segments=30)

    def make(self) -> Reviser:
        return Reviser(GRID, SpeakerCount(), self.rules)

    def follow(self, reviser: Reviser, heard: list[tuple[VoiceRun, int]], first: int = 0) -> list[str]:
        """Every change of what is heard from the number `first` on, as text."""
        changes, runs = [], [run_ for run_, _ in heard]
        for number, (run_, speaker) in enumerate(heard[first:], first):
            reviser.hear(run_, speaker, window_of(runs, number))
            reviser.note(Segment(f"seg_{number}", speaker, run_.start, run_.end, ()))
            if reviser.due(run_.end):
                change = reviser.look(run_.end)
                assert set(change.segments) <= {f"seg_{i}" for i in range(number + 1)}
                assert not set(change.merged) & set(change.merged.values()), "merged into somebody who is gone"
                changes.append(repr((change.segments, change.merged, [p.speaker for p in change.profiles])))
        return changes

    @given(hearings(), st.integers(0, 60))
    @settings(deadline=None, max_examples=40)
    def test_it_can_be_resumed_and_stays_small(self, heard: list[tuple[VoiceRun, int]], place: int) -> None:
        place %= len(heard) + 1
        whole = self.make()
        before = self.follow(whole, heard[:place])
        state = written(whole.dump())
        assert len(state["cells"]) <= self.rules.max_cells
        assert len(state["segments"]) <= self.rules.max_segments
        heir = self.make()
        heir.restore(state)
        assert written(heir.dump()) == state
        assert self.follow(heir, heard, place) == self.follow(whole, heard, place)
        assert before == self.follow(self.make(), heard)[: len(before)]

    def test_one_voice_under_two_numbers_becomes_one(self) -> None:
        person, other = voices(np.random.default_rng(3), 2)
        runs = [
            VoiceRun(i % 4 // 3, i * 40_000, i * 40_000 + 40_000, other if i % 4 == 3 else person) for i in range(12)
        ]
        reviser = self.make()
        for number, run_ in enumerate(runs):
            speaker = (0, 1, 0, 2)[number % 4]
            reviser.hear(run_, speaker, window_of(runs, number))
            reviser.note(Segment(f"seg_{number}", speaker, run_.start, run_.end, ()))
        change = reviser.look(480_000)
        assert change.merged == {1: 0}
        assert change.segments == {f"seg_{i}": 0 for i in (1, 5, 9)}
        assert reviser.look(960_000).segments == {}

    @pytest.mark.parametrize("told_apart", [True, False])
    def test_two_that_a_window_told_apart_never_become_one(self, told_apart: bool) -> None:
        """Their voices alone, hardly more than a second each, would not tell."""
        one, noise = voices(np.random.default_rng(5), 2)
        alike = (one + 0.3 * noise) / np.linalg.norm(one + 0.3 * noise)
        runs = [
            VoiceRun(i % 2 if told_apart else 0, i * 30_000, i * 30_000 + 20_000, (one, alike)[i % 2]) for i in range(8)
        ]
        reviser = self.make()
        for number, run_ in enumerate(runs):
            reviser.hear(run_, number % 2, window_of(runs, number))
        assert reviser.look(480_000).merged == ({} if told_apart else {1: 0})
