"""Formatting of references: their words are kept, case and marks come from formatted text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.training.style import key, learn_case, restore


def test_marks_and_case_come_from_the_first_pass() -> None:
    case = learn_case(["We saw Mandy there.", "Then Mandy left."])
    assert case == {"mandy": "Mandy"}
    written = restore("well i met mandy\nis she here", "Well, I met Sandy. Is she hear?", case)
    assert written == "Well, I met Mandy. Is she here?"


def test_formatted_references_are_kept() -> None:
    assert restore("Okay, um.\nDolphin.", "ok", {}) == "Okay, um. Dolphin."


def test_without_a_first_pass_a_sentence_is_a_sentence() -> None:
    assert restore("i'm not ill", "", {"ill": "I'll", "im": "I'm"}) == "I'm not ill."
    assert restore("", "Something.", {}) == ""


words = st.lists(st.sampled_from(["the", "i", "i'm", "cat", "paris", "don't"]), min_size=1, max_size=6)


@given(st.lists(words, min_size=1, max_size=3), words)
def test_no_word_is_lost_or_gained(sentences: list[list[str]], heard: list[str]) -> None:
    written = restore("\n".join(" ".join(line) for line in sentences), " ".join(heard), {"paris": "Paris"})
    assert [key(word) for word in written.split()] == [key(word) for line in sentences for word in line]
