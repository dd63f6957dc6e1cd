"""The prompt format: what is written is read back, and nothing else is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sot.tokens import Layout, Symbol, TurnPrompt, activity, parse, write_answer, write_prompt

LAYOUT = Layout(vocab_size=50, end_token=7, slots=4, times=100)

texts = st.lists(st.integers(0, 49).filter(lambda token: token != 7), max_size=12).map(tuple)
prompts = st.builds(
    TurnPrompt,
    slot=st.integers(0, 3),
    start=st.integers(0, 100),
    end=st.none() | st.integers(0, 100),
    first_pass=st.none() | texts,
)


@given(st.lists(st.tuples(prompts, texts), max_size=5))
def test_a_window_is_read_back(turns: list[tuple[TurnPrompt, tuple[int, ...]]]) -> None:
    ids = [i for turn, answer in turns for i in write_prompt(turn, LAYOUT) + write_answer(answer, LAYOUT)]
    assert parse(ids, LAYOUT) == turns
    assert all(0 <= i < LAYOUT.size for i in ids)


@given(st.lists(st.tuples(prompts, texts), min_size=1, max_size=3), st.data())
def test_a_cut_window_is_refused(turns: list[tuple[TurnPrompt, tuple[int, ...]]], data: st.DataObject) -> None:
    ids = [i for turn, answer in turns for i in write_prompt(turn, LAYOUT) + write_answer(answer, LAYOUT)]
    ends = [place + 1 for place, i in enumerate(ids) if i == LAYOUT.end_token]
    cut = data.draw(st.integers(1, len(ids) - 1).filter(lambda place: place not in ends))
    with pytest.raises(ValueError, match="position"):
        parse(ids[:cut], LAYOUT)


@given(st.lists(st.integers(0, LAYOUT.size - 1), min_size=1, max_size=20))
def test_what_is_read_is_what_would_be_written(ids: list[int]) -> None:
    try:
        turns = parse(ids, LAYOUT)
    except ValueError:
        return
    assert [i for turn, answer in turns for i in write_prompt(turn, LAYOUT) + write_answer(answer, LAYOUT)] == ids


def test_kinds_of_ids_do_not_meet() -> None:
    kinds = [LAYOUT.symbol(symbol) for symbol in Symbol]
    kinds += [LAYOUT.first_slot + slot for slot in range(LAYOUT.slots)]
    kinds += [LAYOUT.first_time + step for step in range(LAYOUT.times + 1)]
    assert kinds == list(range(LAYOUT.vocab_size, LAYOUT.size))


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (TurnPrompt(4, 0, 1), "slot 4"),
        (TurnPrompt(0, 101, None), "time step 101"),
        (TurnPrompt(0, 0, -1), "time step -1"),
        (TurnPrompt(0, 0, 1, (7,)), "id 7 is not text"),
        (TurnPrompt(0, 0, 1, (50,)), "id 50 is not text"),
    ],
)
def test_bad_turns_are_named(turn: TurnPrompt, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_prompt(turn, LAYOUT)


def test_activity_is_the_covered_share_of_each_frame() -> None:
    marks = activity([(640, 2560, 1), (0, 1280, 0), (0, 1280, 0)], frames=3, slots=2, step=1280)
    np.testing.assert_allclose(marks, [[1.0, 0.5], [0.0, 1.0], [0.0, 0.0]])
