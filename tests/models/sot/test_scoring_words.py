"""Words in error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.asr.scoring import edits, make_normaliser

words = st.lists(st.sampled_from("abc"), max_size=7)


def plain_edits(left: list[str], right: list[str]) -> int:
    if not left or not right:
        return len(left) + len(right)
    same = plain_edits(left[1:], right[1:]) + (left[0] != right[0])
    return min(same, plain_edits(left[1:], right) + 1, plain_edits(left, right[1:]) + 1)


@given(words, words)
def test_edits_are_the_fewest(left: list[str], right: list[str]) -> None:
    assert edits(left, right) == plain_edits(left, right)


def test_case_marks_and_spelled_numbers_do_not_count() -> None:
    normal = make_normaliser()
    assert normal("It's twenty, Anna!") == normal("it is 20 anna")
