"""One property suite over every block of the core: the five laws of app/core/block.py."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core.plan import Planner, PlanRules
from app.core.speakers import SpeakerTracker, TrackerRules
from app.core.stitch import Stitcher, StitchRules
from app.core.timeline import Timeline
from app.core.turns import TurnFinder, TurnRules
from app.core.types import Activity, Decoded, Frames, Labelled, SpeakerCount, Turn
from app.core.windows import Windower
from tests.core.laws import check_closes, check_order, run
from tests.core.strategies import GRID, WINDOW, activity_tracks, decoded_lists, local_windows, meetings, turn_lists

cuts = st.lists(st.integers(0, 60_000), max_size=8)


def chunked(samples: np.ndarray, borders: list[int]) -> list[Frames]:
    edges = sorted({0, len(samples), *(b for b in borders if b < len(samples))})
    return [Frames(a, samples[a:b]) for a, b in itertools.pairwise(edges)]


class TestWindower:
    @given(st.integers(0, 60_000), cuts, st.sampled_from([WINDOW, WINDOW // 2, 7 * GRID.step]))
    @settings(deadline=None, max_examples=40)
    def test_any_chunking_gives_the_same_and_nothing_is_lost(self, length: int, borders: list[int], step: int) -> None:
        sound = np.arange(length, dtype=np.float32)
        whole = run(Windower(WINDOW, step, GRID.step), [Frames(0, sound)] if length else [])
        parts = run(Windower(WINDOW, step, GRID.step), chunked(sound, borders) if length else [])
        assert [(w.index, w.start, w.valid, w.own_start, w.own_end, w.samples.tobytes()) for w in whole] == [
            (w.index, w.start, w.valid, w.own_start, w.own_end, w.samples.tobytes()) for w in parts
        ]
        covered, owned = np.zeros(length, dtype=bool), 0
        for window in whole:
            assert window.start % GRID.step == 0
            assert np.array_equal(window.samples[: window.valid], sound[window.start : window.end])
            assert not window.samples[window.valid :].any()
            assert window.start <= window.own_start == owned <= window.own_end <= window.end
            covered[window.start : window.end] = True
            owned = window.own_end
        assert covered.all()
        assert owned == length
        check_order([w.start for w in whole])

    def test_closes(self) -> None:
        check_closes(lambda: Windower(WINDOW, 999), Frames(0, np.zeros(4, dtype=np.float32)))


class TestTimeline:
    @given(meetings(), st.integers(0, 2**32 - 1))
    @settings(deadline=None, max_examples=40)
    def test_covers_the_meeting_once_and_tells_the_truth(self, truth: np.ndarray, seed: int) -> None:
        windows = local_windows(truth, np.random.default_rng(seed))
        frames_of = [truth[w.start // GRID.step :][: len(w.activity)] for w in windows]
        padded = [np.pad(part, ((0, len(windows[0].activity) - len(part)), (0, 0))) for part in frames_of]
        items = [Labelled(w.start, w.end, part.astype(np.float32)) for w, part in zip(windows, padded, strict=True)]
        chunks = run(Timeline(GRID, 2 * GRID.step), items)
        check_order([c.first for c in chunks])
        check_order([c.end for c in chunks])
        frames = 0
        for chunk in chunks:
            assert chunk.first == frames, "a frame is missing or given twice"
            frames += len(chunk.values)
            assert np.array_equal(chunk.values >= 0.5, truth[chunk.first : chunk.first + len(chunk.values)])
        assert frames == len(truth)
        assert chunks[-1].end == len(truth) * GRID.step

    def test_closes(self) -> None:
        check_closes(lambda: Timeline(GRID, 100), Labelled(0, 100, np.ones((5, 1), dtype=np.float32)))


class TestTurnFinder:
    @given(
        activity_tracks(),
        st.lists(st.integers(1, 399), max_size=8),
        st.sampled_from([0, 2_000, 4_800]),
        st.sampled_from([0, 1_600]),
    )
    @example(np.array([[0.45], [0.0], [0.45]], dtype=np.float32), [2], 0, 0)
    @example(np.array([[0.45]] * 188 + [[0.0]] * 2 + [[0.45]] * 9, dtype=np.float32), [189, 190], 0, 1_600)
    @settings(deadline=None, max_examples=80)
    def test_any_chunking_gives_the_same_in_order(
        self, track: np.ndarray, borders: list[int], min_off: int, min_on: int
    ) -> None:
        rules = TurnRules(min_off_samples=min_off, min_on_samples=min_on, max_samples=30_000)
        whole = run(TurnFinder(GRID, rules), [_chunk(track, 0, len(track))])
        edges = sorted({0, len(track), *(b for b in borders if b < len(track))})
        parts = run(TurnFinder(GRID, rules), [_chunk(track, a, b) for a, b in itertools.pairwise(edges)])
        assert whole == parts
        check_order([t.start for t in whole])
        for turn in whole:
            at_the_end = turn.end == len(track) * GRID.step
            assert turn.end - turn.start >= (1 if at_the_end else rules.min_on_samples)
            assert turn.end - turn.start <= rules.max_samples + GRID.offset
        for speaker in range(track.shape[1]):
            own = [t for t in whole if t.speaker == speaker]
            assert all(a.end <= b.start for a, b in itertools.pairwise(own)), "a speaker overlaps itself"

    @given(activity_tracks())
    @settings(deadline=None, max_examples=40)
    def test_no_speech_is_lost(self, track: np.ndarray) -> None:
        rules = TurnRules(min_on_samples=0, max_samples=30_000)
        turns = run(TurnFinder(GRID, rules), [_chunk(track, 0, len(track))])
        for frame, speaker in zip(*np.nonzero(track >= rules.onset), strict=True):
            centre = min(GRID.offset + int(frame) * GRID.step, len(track) * GRID.step - 1)
            # The last frames' centres lie behind the end of the sound.
            assert any(t.speaker == speaker and t.start <= centre < t.end for t in turns) or frame >= len(track) - 2

    def test_closes(self) -> None:
        check_closes(lambda: TurnFinder(GRID, TurnRules()), _chunk(np.ones((5, 1), dtype=np.float32), 0, 5))


def _chunk(track: np.ndarray, begin: int, end: int) -> Activity:
    return Activity(begin, track[begin:end], end * GRID.step)


class TestPlanner:
    rules = PlanRules(max_samples=320_000, margin_samples=8_000)

    @given(turn_lists())
    @settings(deadline=None, max_examples=100)
    def test_every_turn_is_asked_once_in_a_window_that_holds_it(self, turns: list[Turn]) -> None:
        plans = run(Planner(self.rules), turns)
        asked = [t for p in plans for t in p.turns if t.ask]
        assert sorted((t.start, t.end, t.speaker) for t in asked) == sorted((t.start, t.end, t.speaker) for t in turns)
        for plan in plans:
            assert plan.end - plan.start <= self.rules.max_samples
            assert all(plan.start <= t.start < t.end <= plan.end for t in plan.turns)
            check_order([t.start for t in plan.turns])
            others = [t for t in turns if t.start < plan.end and t.end > plan.start]
            assert len(plan.turns) <= len(others)
        check_order([min(t.start for t in p.turns if t.ask) for p in plans])
        assert [p.index for p in plans] == list(range(len(plans)))

    def test_closes(self) -> None:
        check_closes(lambda: Planner(self.rules), Turn(0, 10, 0))


class TestSpeakerTracker:
    @given(meetings(), st.integers(0, 2**32 - 1))
    @settings(deadline=None, max_examples=40)
    def test_every_voice_is_named_and_two_at_once_are_two(self, truth: np.ndarray, seed: int) -> None:
        windows = local_windows(truth, np.random.default_rng(seed))
        tracker = SpeakerTracker(GRID, SpeakerCount(), TrackerRules(min_run_samples=2_000))
        labelled = run(tracker, windows)
        assert [(item.start, item.end) for item in labelled] == [(w.start, w.end) for w in windows]
        for item, local in zip(labelled, windows, strict=True):
            active = local.activity >= 0.5
            spoken = (item.values >= 0.5).sum(axis=1)
            assert (spoken <= active.sum(axis=1)).all(), "a voice was given to two people"
            if tracker.num_speakers > 1 and any(w.runs for w in windows[:1]):
                assert (spoken[active.any(axis=1)] >= 1).all(), "a voice was given to nobody"

    def test_closes(self) -> None:
        windows = local_windows(np.ones((50, 1), dtype=bool), np.random.default_rng(0))
        check_closes(lambda: SpeakerTracker(GRID, SpeakerCount(), TrackerRules()), windows[0])


class TestStitcher:
    @given(decoded_lists())
    @settings(deadline=None, max_examples=150)
    def test_order_ids_and_no_word_from_nowhere(self, answers: list[Decoded]) -> None:
        segments = run(Stitcher(StitchRules()), answers)
        check_order([s.start for s in segments])
        assert len({s.id for s in segments}) == len(segments)
        given_words = {(t.turn.speaker, w) for a in answers for t in a.turns for w in t.words}
        for segment in segments:
            assert segment.words
            assert {(segment.speaker, w) for w in segment.words} <= given_words

    @given(decoded_lists())
    @settings(deadline=None, max_examples=100)
    def test_nothing_is_lost_but_echoes(self, answers: list[Decoded]) -> None:
        """Every word near its turn is written, by its own speaker or, as an echo, by another."""
        rules = StitchRules()
        segments = run(Stitcher(rules), answers)
        written = [w for s in segments for w in s.words]
        for answer in answers:
            for turn in answer.turns:
                for word in turn.words:
                    middle = (word.start + word.end) // 2
                    if turn.turn.start <= middle < turn.turn.end:
                        assert any(
                            w.text == word.text and abs((w.start + w.end) // 2 - middle) <= 3 * rules.echo_samples
                            for w in written
                        )

    def test_closes(self) -> None:
        check_closes(lambda: Stitcher(StitchRules()), Decoded(()))
