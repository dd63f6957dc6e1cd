"""Turns that go on: which words are out already, which are final, and where the rest begins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.live_commit import CommitRules, cut_behind, words_final, words_out
from app.core.live_stitch import LiveStitcher
from app.core.plan import Planner, PlanRules
from app.core.stitch import StitchRules
from app.core.turns import TurnFinder, TurnRules
from app.core.types import Activity, Decoded, DecodedTurn, DecodeTurn, FrameGrid, Turn, Word

RULES = CommitRules()
S = 16_000
TEXTS = st.lists(st.sampled_from(["yes", "no", "the", "table", "is", "red"]), min_size=2, max_size=14)


def said(texts: list[str], starts_s: list[float], length_s: float = 0.25) -> list[Word]:
    return [Word(t, round(s * S), round((s + length_s) * S), 0.9) for t, s in zip(texts, starts_s, strict=True)]


@given(TEXTS, st.data())
@settings(max_examples=200)
def test_words_that_moved_a_little_are_each_out_once(texts: list[str], data: st.DataObject) -> None:
    """Decoded again, every word up to 0.12 s off and in other dress: the same words are out, wherever the cut was."""
    count = data.draw(st.integers(1, len(texts)))
    starts = [0.3 * i for i in range(len(texts))]
    moved = [s + data.draw(st.floats(-0.12, 0.12)) for s in starts]
    first, again = said(texts, starts), said([f"{text.title()}," for text in texts], moved)
    cut = cut_behind(first, count, first[-1].end)
    assert words_out(again, first[:count], cut, RULES) == count


@pytest.mark.parametrize(
    ("again", "out"),
    [
        ("we saw the table red wine", 4),  # as it was
        ("we saw a table red wine", 4),  # a word was heard otherwise
        ("saw the table red wine", 3),  # one is missing
        ("and we saw the table red wine", 5),  # one more is heard in front
        ("we saw the tables red wine", 4),  # the last one was heard otherwise
    ],
)
def test_words_heard_otherwise_do_not_move_the_cut(again: str, out: int) -> None:
    first = said(["we", "saw", "the", "table"], [0.0, 0.3, 0.6, 0.9])
    texts = again.split()
    fresh = said(texts, [1.2 - 0.3 * out + 0.3 * i + 0.1 for i in range(len(texts))])
    assert words_out(fresh, first, 19_000, RULES) == out


def test_nothing_heard_again_and_nothing_said_before() -> None:
    assert words_out([], said(["yes"], [0.0]), 4_000, RULES) == 0
    assert words_out(said(["yes"], [1.0]), [], 16_000, RULES) == 0
    assert words_out(said(["yes", "no"], [0.0, 1.0]), [], 14_000, RULES) == 1


def test_a_turn_is_cut_between_words_and_rather_at_a_pause() -> None:
    words = said(["a", "b", "c", "d"], [0.0, 0.25, 0.5, 0.75])
    assert words_final(words, round(0.8 * S), RULES) == 3
    assert cut_behind(words, 3, round(0.8 * S)) == round(0.75 * S)
    paused = said(["a", "b", "c", "d"], [0.0, 0.25, 0.7, 0.95])
    assert words_final(paused, round(1.1 * S), RULES) == 2
    assert cut_behind(paused, 2, round(1.1 * S)) == round(0.6 * S)
    assert words_final(paused, round(1.35 * S), RULES) == 4
    assert cut_behind(paused, 4, round(1.35 * S)) == round(1.35 * S)
    assert words_final(words, 100, RULES) == 0


def test_a_pause_long_ago_is_no_reason() -> None:
    words = said(["a", "b", "c", "d", "e", "f"], [0.0, 0.6, 0.85, 1.1, 1.35, 1.6])
    assert words_final(words, round(1.85 * S), RULES) == 6


def test_a_split_turn_goes_on_from_there() -> None:
    grid = FrameGrid(160, 80)
    turns = TurnFinder(grid, TurnRules(min_off_samples=1_600))
    assert turns.push(Activity(0, np.ones((300, 1), np.float32), 300 * 160)) == []
    assert turns.ripe(48_001) == []
    (ripe,) = turns.ripe(48_000)
    assert (ripe.start, ripe.end, ripe.speaker) == (0, 48_000, 0)
    at = turns.split(0, 30_010)
    assert abs(at - 30_010) <= 160
    assert turns.push(Activity(300, np.zeros((40, 1), np.float32), 340 * 160)) == [Turn(at, 48_000, 0)]


def test_a_peek_is_not_remembered_but_what_was_written_of_it_is() -> None:
    planner = Planner(PlanRules(480_000, 8_000, 32_000))
    plan = planner.peek([Turn(40_000, 90_000, 1)], 96_000)
    assert (plan.start, plan.end, plan.index) == (8_000, 96_000, 0)
    assert [(t.start, t.end, t.ask, t.open) for t in plan.turns] == [(40_000, 90_000, True, True)]
    assert planner.glance([Turn(40_000, 90_000, 1)], 96_000, 16_000).start == 24_000
    planner.note(Turn(40_000, 80_000, 1))
    again = planner.peek([Turn(80_000, 110_000, 1)], 112_000)
    assert again.index == 1
    assert [(t.start, t.end, t.ask) for t in again.turns] == [(48_000, 80_000, False), (80_000, 110_000, True)]


def test_a_word_said_twice_across_a_cut_is_kept_and_an_echo_is_not() -> None:
    def first_words(border: int) -> list[str]:
        stitcher = LiveStitcher(StitchRules())
        stitcher.push(
            Decoded((DecodedTurn(DecodeTurn(0, 16_000, 0), tuple(said(["as", "soon", "as"], [0.2, 0.5, 0.8]))),))
        )
        rest = DecodedTurn(DecodeTurn(border, 48_000, 0), tuple(said(["as", "we", "can"], [1.0, 1.3, 1.6])))
        return [word.text for segment in stitcher.push(Decoded((rest,))) for word in segment.words]

    assert first_words(16_000) == ["as", "we", "can"]
    assert first_words(16_160) == ["we", "can"]
