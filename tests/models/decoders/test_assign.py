"""Words go to the turn they were said in, and runs of words are not torn apart."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from models.decoders.assign import assign

REACH = 8_000


def test_plain_turn_taking() -> None:
    assert assign([(0, 100), (100, 200), (210, 300)], [(0, 205), (205, 400)], REACH) == [0, 0, 1]


def test_in_a_pause_the_nearest_turn_takes_it() -> None:
    assert assign([(1_000, 1_400)], [(0, 900), (4_000, 9_000)], REACH) == [0]


def test_far_from_everything_is_nobodys() -> None:
    assert assign([(90_000, 91_000)], [(0, 900)], REACH) == [None]
    assert assign([(0, 10)], [], REACH) == [None]
    assert assign([], [(0, 10)], REACH) == []


def test_overlap_does_not_tear_a_sentence_apart() -> None:
    words = [(i * 1_000, i * 1_000 + 900) for i in range(10)]
    # A back-channel lies within the sentence; its whole span is covered by both turns.
    assert assign(words, [(0, 10_000), (4_000, 5_000)], REACH) == [0] * 10


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 8_000)), max_size=12),
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 60_000)), max_size=5),
)
@settings(deadline=None)
def test_a_word_wholly_within_one_turn_only_goes_there(
    words: list[tuple[int, int]], turns: list[tuple[int, int]]
) -> None:
    spans = sorted((a, a + n) for a, n in words)
    turn_spans = sorted((a, a + n) for a, n in turns)
    found = assign(spans, turn_spans, REACH)
    assert len(found) == len(spans)
    for (start, end), turn in zip(spans, found, strict=True):
        assert turn is None or 0 <= turn < len(turn_spans)
        if turn is None:
            assert all(b <= start or a >= end for a, b in turn_spans), "a spoken word was thrown away"
