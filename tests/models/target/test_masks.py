"""Masks of who speaks, frame by frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.target.masks import BOTH, CLASSES, OTHERS, SILENCE, TARGET, stno

FRAME = 320
spans = st.lists(st.tuples(st.integers(-FRAME, 9 * FRAME), st.integers(-FRAME, 9 * FRAME)), max_size=4)


def test_each_frame_has_its_class() -> None:
    mask = stno([(FRAME, 3 * FRAME)], [(2 * FRAME, 5 * FRAME)], 6 * FRAME, 8)
    assert mask.argmax(axis=0).tolist() == [SILENCE, TARGET, BOTH, OTHERS, OTHERS, SILENCE, SILENCE, SILENCE]


def test_a_frame_that_is_spoken_in_at_all_counts() -> None:
    assert stno([(FRAME + 10, FRAME + 20)], [], 4 * FRAME, 4)[TARGET].tolist() == [0, 1, 0, 0]


def test_turns_are_cut_to_the_clip() -> None:
    assert stno([(-500, 99 * FRAME)], [], 2 * FRAME, 4)[TARGET].tolist() == [1, 1, 0, 0]


@given(spans, spans)
def test_one_class_holds_at_each_frame(target: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    mask = stno(target, others, 8 * FRAME, 10)
    assert mask.shape == (CLASSES, 10)
    assert np.array_equal(mask.sum(axis=0), np.ones(10, np.float32))
    assert np.array_equal(stno(others, target, 8 * FRAME, 10)[[SILENCE, OTHERS, TARGET, BOTH]], mask)
