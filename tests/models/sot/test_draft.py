"""Guesses from first-pass text."""

from __future__ import annotations

from models.sot.draft import expected, guess


def test_an_empty_answer_is_guessed_from_the_start() -> None:
    assert guess([1, 2, 3], [], 2) == [1, 2]


def test_guessing_goes_on_after_a_disagreement() -> None:
    assert guess([1, 2, 3, 4, 5], [1, 9, 3], 8) == [4, 5]


def test_the_longest_match_counts_then_the_nearest() -> None:
    assert guess([1, 2, 7, 5, 2, 8], [5, 2], 1) == [8]
    assert guess([2, 7, 0, 0, 2, 8], [9, 9, 9, 9, 2], 1) == [8]


def test_nothing_is_guessed_without_a_match_or_room() -> None:
    assert guess([1, 2], [3], 4) == []
    assert guess([1, 2], [2], 4) == []
    assert guess([1, 2], [], 0) == guess([1, 2], [], -1) == []


def test_the_first_pass_goes_on_and_ends() -> None:
    assert [expected([1, 2, 3], [1, 2, 3][:count], 99) for count in range(4)] == [1, 2, 3, 99]


def test_nothing_heard_is_an_end_at_once() -> None:
    assert expected([], [], 99) == 99
    assert expected([], [4], 99) is None


def test_after_another_word_nothing_is_expected_until_they_meet_again() -> None:
    assert expected([1, 2, 3], [1, 7], 99) is None
    assert expected([1, 2, 3], [1, 7, 2], 99) == 3
