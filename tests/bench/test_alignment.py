from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaldialign import edit_distance

from app.bench.alignment import TimedWord, align, timed_words
from app.bench.speech import Utterance
from tests.bench.meetings import WORDS


def timed(text: str, times: list[float] | None = None) -> list[TimedWord]:
    words = text.split()
    return [TimedWord(word, at) for word, at in zip(words, times or range(len(words)), strict=True)]


def at(words: list[TimedWord]) -> list[float]:
    return [pytest.approx(word.at_s) for word in words]


def test_words_are_spread_by_their_characters():
    assert at(timed_words([Utterance("A", 10.0, 20.0, "abcd ef abcd")], str.lower)) == [12.0, 15.0, 18.0]


def test_given_word_times_are_used():
    utterance = Utterance("A", 0.0, 10.0, "Alpha bravo", ((1.0, 2.0), (8.0, 9.0)))
    assert at(timed_words([utterance], str.lower)) == [1.5, 8.5]


def test_words_that_the_normalizer_joins_or_splits_stay_where_they_were_said():
    utterance = Utterance("A", 0.0, 10.0, "twenty one cats", ((0.0, 1.0), (1.0, 2.0), (9.0, 10.0)))
    found = timed_words([utterance], lambda text: text.replace("twenty one", "21"))
    assert [word.text for word in found] == ["21", "cats"]
    assert found[0].at_s < 2.0
    assert found[1].at_s > 1.0
    assert at(timed_words([Utterance("A", 0.0, 4.0, "ab", ((0.0, 4.0),))], " ".join)) == [1.0, 3.0]


def test_utterances_come_in_order_and_empty_ones_have_no_words():
    found = timed_words(
        [Utterance("A", 5.0, 6.0, "b"), Utterance("A", 1.0, 2.0, "a"), Utterance("A", 3.0, 4.0, "")], str
    )
    assert [word.text for word in found] == ["a", "b"]


def test_repeated_words_pair_with_the_nearest():
    reference = timed("no no no", [0.0, 10.0, 20.0])
    assert align(reference, timed("no", [11.0])) == [(0, None), (1, 0), (2, None)]
    assert align(reference, timed("no no", [1.0, 19.0])) == [(0, 0), (1, None), (2, 1)]


def test_time_never_costs_an_error():
    assert align(timed("alpha bravo", [0.0, 1.0]), timed("alpha bravo", [5000.0, 9000.0])) == [(0, 0), (1, 1)]


def test_nothing_aligns_to_insertions_and_deletions():
    assert align([], timed("alpha bravo")) == [(None, 0), (None, 1)]
    assert align(timed("alpha"), []) == [(0, None)]
    assert align([], []) == []


words = st.lists(st.tuples(st.sampled_from(WORDS[:4]), st.integers(0, 20)), max_size=12).map(
    lambda rows: [TimedWord(text, float(time)) for text, time in rows]
)


@given(words, words)
def test_an_alignment_holds_every_word_once_in_order_with_the_fewest_errors(reference, hypothesis):
    pairs = align(reference, hypothesis)
    assert [left for left, _ in pairs if left is not None] == list(range(len(reference)))
    assert [right for _, right in pairs if right is not None] == list(range(len(hypothesis)))
    errors = sum(
        left is None or right is None or reference[left].text != hypothesis[right].text for left, right in pairs
    )
    assert errors == edit_distance([w.text for w in reference], [w.text for w in hypothesis])["total"]
