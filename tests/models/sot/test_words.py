"""Answers as words: confidence from tokens, times from the first pass or shared out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.decoders.base import DecoderWord
from models.sot.words import place_words, split_words

PIECES = {0: " Hel", 1: "lo", 2: " you", 3: ".", 4: " "}


def decode(tokens: Sequence[int]) -> str:
    return "".join(PIECES[token] for token in tokens)


def test_a_words_confidence_is_that_of_its_tokens() -> None:
    logs = [math.log(p) for p in (0.5, 0.5, 0.9, 0.4)]
    words = split_words([0, 1, 2, 3], logs, decode)
    assert [text for text, _ in words] == ["Hello", "you."]
    assert [confidence for _, confidence in words] == pytest.approx([0.5, 0.6])


def test_spaces_apart_from_words_lose_nothing() -> None:
    assert [text for text, _ in split_words([4, 0, 1, 4, 2], [0.0] * 5, decode)] == ["Hello", "you"]
    assert split_words([], [], decode) == []


def test_known_words_keep_their_times() -> None:
    first = [DecoderWord("well", 100, 200, 0.9), DecoderWord("done.", 700, 800, 0.9)]
    placed = place_words([("Well", 1.0), ("very", 0.5), ("done", 1.0)], first, 0, 1000)
    assert [(word.start, word.end) for word in placed] == [(100, 200), (200, 700), (700, 800)]


def test_unknown_words_share_the_turn_by_letters() -> None:
    placed = place_words([("a", 1.0), ("bbb", 1.0)], [], 300, 900)
    assert [(word.start, word.end) for word in placed] == [(300, 500), (500, 900)]


words = st.lists(st.sampled_from(["a", "bee", "sea", "dee"]), max_size=8)


@given(words, words, st.integers(0, 500), st.integers(1, 900))
def test_times_never_fall(written: list[str], heard: list[str], start: int, length: int) -> None:
    first = [DecoderWord(text, start + 40 * i, start + 40 * i + 30, 1.0) for i, text in enumerate(heard)]
    placed = place_words([(text, 0.5) for text in written], first, start, start + length)
    assert [word.text for word in placed] == written
    assert all(word.start <= word.end for word in placed)
    assert all(before.end <= after.start for before, after in itertools.pairwise(placed))
