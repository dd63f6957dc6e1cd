"""The block laws over the blocks of live captions, and one more: a block that was written down and read back, at any
place of the stream, gives what it would have given."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.live_stitch import LiveStitcher
from app.core.live_windows import LiveWindower
from app.core.plan import Planner, PlanRules
from app.core.speakers import SpeakerTracker, TrackerRules
from app.core.state import BadState, State
from app.core.stitch import StitchRules
from app.core.timeline import Timeline
from app.core.turns import TurnFinder, TurnRules
from app.core.types import (
    Activity,
    Decoded,
    Frames,
    Labelled,
    Segment,
    SpeakerCount,
    Turn,
    VoiceRun,
    Window,
)
from tests.core.laws import check_closes, check_order, run
from tests.core.strategies import (
    GRID,
    WINDOW,
    activity_tracks,
    decoded_lists,
    local_windows,
    meetings,
    turn_lists,
    voices,
)

cuts = st.lists(st.integers(0, 60_000), max_size=8)
seeds = st.integers(0, 2**32 - 1)


def plain(value: Any) -> Any:
    """A value that can be compared: arrays as bytes."""
    return repr(value) if not hasattr(value, "values") else (value.values.tobytes(), value.values.shape, value.end)


def written(state: State) -> State:
    """As it comes out of the store."""
    read: State = json.loads(json.dumps(state))
    return read


def check_round_trip(
    make: Callable[[], Any],
    items: Sequence[Any],
    place: int,
    feed: Callable[[Any, Any], list[Any]] = lambda block, item: block.push(item),
) -> None:
    """Written down before item `place` and read back by a fresh block, the rest comes out as it would have."""
    block = make()
    for item in items[:place]:
        feed(block, item)
    state = written(block.dump())
    heir = make()
    heir.restore(state)
    assert written(heir.dump()) == state
    for item in items[place:]:
        assert [plain(it) for it in feed(heir, item)] == [plain(it) for it in feed(block, item)]
    assert [plain(it) for it in heir.flush()] == [plain(it) for it in block.flush()]


class TestLiveWindower:
    step, reach = 7 * GRID.step, 10 * GRID.step

    def make(self) -> LiveWindower:
        return LiveWindower(WINDOW, self.step, self.reach, GRID.step)

    def frames(self, sound: np.ndarray, borders: list[int], start: int = 0) -> list[Frames]:
        edges = sorted({start, len(sound), *(b for b in borders if start < b < len(sound))})
        return [Frames(a, sound[a:b]) for a, b in itertools.pairwise(edges)]

    @given(st.integers(0, 60_000), cuts)
    @settings(deadline=None, max_examples=40)
    def test_any_chunking_gives_the_same_and_nothing_is_lost(self, length: int, borders: list[int]) -> None:
        sound = np.arange(length, dtype=np.float32)
        whole = run(self.make(), self.frames(sound, []))
        parts = run(self.make(), self.frames(sound, borders))
        assert [shape(w) for w in whole] == [shape(w) for w in parts]
        covered = np.zeros(length, dtype=bool)
        for index, window in enumerate(whole):
            assert window.index == index
            assert window.start % GRID.step == 0
            assert np.array_equal(window.samples[: window.valid], sound[window.start : window.end])
            assert not window.samples[window.valid :].any()
            assert window.own_end == window.end
            assert window.end - window.own_start == min(window.valid, self.reach)
            covered[window.own_start : window.own_end] = True
        assert covered.all(), "sound that no window answers for"
        check_order([w.start for w in whole])
        check_order([w.end for w in whole])

    @given(st.integers(1, 60_000), cuts, st.lists(st.integers(0, 60_000), min_size=1, max_size=3))
    @settings(deadline=None, max_examples=40)
    def test_windows_behind_a_cut_do_not_depend_on_it(self, length: int, borders: list[int], places: list[int]) -> None:
        sound = np.arange(length, dtype=np.float32)
        windower, plain_ones, cut_ones = self.make(), [], []
        for item in self.frames(sound, [*borders, *places]):
            plain_ones += windower.push(item)
            if item.end in places:
                cut_ones += windower.cut()
                assert windower.cut() == [] or item.end not in {w.end for w in plain_ones}
        regular = [(w.start, w.end) for w in run(self.make(), self.frames(sound, []))]
        assert [(w.start, w.end) for w in plain_ones] == regular[: len(plain_ones)]
        assert all(w.end in places for w in cut_ones)

    @given(st.integers(20_000, 60_000), cuts, st.integers(0, 30))
    @settings(deadline=None, max_examples=40)
    def test_goes_on_from_any_window(self, length: int, borders: list[int], place: int) -> None:
        sound = np.arange(length, dtype=np.float32)
        first = self.make()
        whole = [w for item in self.frames(sound, borders) for w in first.push(item)]
        if not whole:
            return
        window = whole[place % len(whole)]
        state = written(first.after(window))
        heir = self.make()
        heir.restore(state, state["from"])
        assert state["from"] <= window.end
        rest = [w for item in self.frames(sound, borders, state["from"]) for w in heir.push(item)]
        assert [shape(w) for w in [*rest, *heir.flush()]] == [
            shape(w) for w in [*whole[place % len(whole) + 1 :], *first.flush()]
        ]

    def test_closes(self) -> None:
        check_closes(self.make, Frames(0, np.zeros(4, dtype=np.float32)))

    def test_damage_is_refused(self) -> None:
        with pytest.raises(BadState):
            self.make().restore({"index": "1", "steps": 1}, 0)


def shape(window: Window) -> tuple[Any, ...]:
    return (window.index, window.start, window.valid, window.own_start, window.own_end, window.samples.tobytes())


class TestTimeline:
    right = 8 * GRID.step

    def make(self) -> Timeline:
        return Timeline(GRID, 2 * GRID.step, self.right)

    @given(meetings(), seeds, st.integers(0, 30))
    @settings(deadline=None, max_examples=40)
    def test_frames_come_once_in_order_and_can_be_resumed(self, truth: np.ndarray, seed: int, place: int) -> None:
        items = labelled_windows(truth, seed)
        chunks = run(self.make(), items)
        frames = 0
        for chunk in chunks:
            assert chunk.first == frames, "a frame is missing or given twice"
            frames += len(chunk.values)
        check_order([c.end for c in chunks])
        assert chunks[-1].end == len(truth) * GRID.step
        assert abs(frames - len(truth)) <= -(-GRID.offset // GRID.step)
        check_round_trip(self.make, items, place % (len(items) + 1))

    @given(meetings(), seeds)
    @settings(deadline=None, max_examples=20)
    def test_a_look_at_what_is_tentative_changes_nothing(self, truth: np.ndarray, seed: int) -> None:
        items, looked = labelled_windows(truth, seed), self.make()
        out = []
        for item in items:
            out += looked.push(item)
            looked.tentative()
        out += looked.flush()
        assert [plain(it) for it in out] == [plain(it) for it in run(self.make(), items)]

    def test_closes(self) -> None:
        check_closes(self.make, Labelled(0, 10 * GRID.step, np.ones((10, 1), dtype=np.float32)))


def labelled_windows(truth: np.ndarray, seed: int) -> list[Labelled]:
    windows = local_windows(truth, np.random.default_rng(seed))
    parts = [truth[w.start // GRID.step :][: len(w.activity)] for w in windows]
    padded = [np.pad(part, ((0, len(windows[0].activity) - len(part)), (0, 0))) for part in parts]
    return [Labelled(w.start, w.end, part.astype(np.float32)) for w, part in zip(windows, padded, strict=True)]


class TestTurnFinder:
    rules = TurnRules(min_off_samples=4_800, max_samples=30_000)

    def make(self) -> TurnFinder:
        return TurnFinder(GRID, self.rules)

    def chunks(self, track: np.ndarray, borders: list[int]) -> list[Activity]:
        edges = sorted({0, len(track), *(b for b in borders if b < len(track))})
        return [Activity(a, track[a:b], b * GRID.step) for a, b in itertools.pairwise(edges)]

    @given(activity_tracks(), st.lists(st.integers(1, 399), max_size=8), st.integers(0, 8))
    @settings(deadline=None, max_examples=60)
    def test_previews_change_nothing_and_it_can_be_resumed(
        self, track: np.ndarray, borders: list[int], place: int
    ) -> None:
        items = self.chunks(track, borders)
        finder, out = self.make(), []
        for item in items:
            waiting = finder.waiting()
            finder.preview(item)
            assert finder.waiting() == waiting
            out += finder.push(item)
        assert [*out, *finder.flush()] == run(self.make(), items)
        check_round_trip(self.make, items, place % (len(items) + 1))

    @given(activity_tracks(), st.lists(st.integers(1, 399), min_size=1, max_size=4))
    @settings(deadline=None, max_examples=40)
    def test_a_cut_gives_everything_and_the_stream_goes_on(self, track: np.ndarray, borders: list[int]) -> None:
        finder, out = self.make(), []
        for item in self.chunks(track, borders):
            out += finder.push(item)
            out += finder.cut()
            assert finder.waiting() == []
        out += finder.flush()
        check_order([t.start for t in out])
        for speaker in range(track.shape[1]):
            own = [t for t in out if t.speaker == speaker]
            assert all(a.end <= b.start for a, b in itertools.pairwise(own)), "a speaker overlaps itself"


class TestPlanner:
    rules = PlanRules(max_samples=320_000, margin_samples=8_000)

    def make(self) -> Planner:
        return Planner(self.rules)

    @staticmethod
    def feed(block: Planner, turn: Turn) -> list[Any]:
        return [*block.push(turn), *block.release()]

    @given(turn_lists(), st.integers(0, 20))
    @settings(deadline=None, max_examples=60)
    def test_turns_released_at_once_are_asked_once_and_it_can_be_resumed(self, turns: list[Turn], place: int) -> None:
        planner = self.make()
        plans = [plan for turn in turns for plan in self.feed(planner, turn)]
        asked = [(t.start, t.end, t.speaker) for p in plans for t in p.turns if t.ask]
        assert asked == [(t.start, t.end, t.speaker) for t in turns]
        for plan in plans:
            assert all(plan.start <= t.start < t.end <= plan.end for t in plan.turns)
        assert [p.index for p in plans] == list(range(len(plans)))
        check_round_trip(self.make, turns, place % (len(turns) + 1), self.feed)


class TestSpeakerTracker:
    rules = TrackerRules(min_run_samples=2_000, repeat=2.0, memory_samples=20 * GRID.step)

    def make(self) -> SpeakerTracker:
        return SpeakerTracker(GRID, SpeakerCount(), self.rules)

    @given(meetings(), seeds, st.integers(0, 30))
    @settings(deadline=None, max_examples=40)
    def test_it_can_be_resumed_and_names_stay(self, truth: np.ndarray, seed: int, place: int) -> None:
        windows = local_windows(truth, np.random.default_rng(seed))
        check_round_trip(self.make, windows, place % (len(windows) + 1))
        known = 0
        tracker = self.make()
        for window in windows:
            for item in tracker.push(window):
                assert item.values.shape[1] == tracker.num_speakers >= known, "a speaker has gone"
            known = tracker.num_speakers

    def test_who_was_found_to_be_somebody_else_is_never_heard_again_and_makes_room(self) -> None:
        people = voices(np.random.default_rng(5), 3)
        tracker = SpeakerTracker(GRID, SpeakerCount(max=2), self.rules)

        def hear(person: int, start: int, samples: int) -> int:
            run_ = VoiceRun(0, start, start + samples, people[person])
            window = local_windows(np.ones((40, 1), dtype=bool), np.random.default_rng(0))[0]
            tracker.push(type(window)(start, start + WINDOW, window.activity, (run_,)))
            return tracker.heard[0][1]

        assert [hear(0, 0, 9_000), hear(1, WINDOW, 9_000)] == [0, 1]
        tracker.rewrite(1, tracker.voice(1) * 0, 0.0)
        against_everybody = -people[0]
        short = VoiceRun(0, 2 * WINDOW, 2 * WINDOW + 500, against_everybody)
        assert tracker._recognise(short, {}) == 0
        assert hear(2, 3 * WINDOW, 9_000) == 2


class TestLiveStitcher:
    def make(self) -> LiveStitcher:
        return LiveStitcher(StitchRules())

    @given(decoded_lists(), st.integers(0, 6))
    @settings(deadline=None, max_examples=100)
    def test_order_ids_no_word_from_nowhere_and_it_can_be_resumed(self, answers: list[Decoded], place: int) -> None:
        stitcher, segments = self.make(), list[Segment]()
        for answer in answers:
            before = written(stitcher.dump())
            stitcher.preview(answer)
            assert written(stitcher.dump()) == before, "a preview changes something"
            segments += stitcher.push(answer)
        segments += stitcher.flush()
        assert segments == run(self.make(), answers)
        check_order([s.start for s in segments])
        assert [s.id for s in segments] == [f"seg_{i:06d}" for i in range(len(segments))]
        said = [w for answer in answers for turn in answer.turns for w in turn.words]
        for word in (w for s in segments for w in s.words):
            assert word in said
        check_round_trip(self.make, answers, place % (len(answers) + 1))

    def test_closes(self) -> None:
        check_closes(self.make, Decoded(()))
