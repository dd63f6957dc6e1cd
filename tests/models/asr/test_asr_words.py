"""models/asr/words.py: tokens become words with times; nothing of the text is lost; punctuation goes with its word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.asr.words import make_words

ALPHABET = " abc.,!?\"'(-你好é"


def decode(ids: list[int]) -> str:
    """Ids are bytes, as in byte-level vocabularies."""
    return bytes(ids).decode("utf-8", errors="replace")


def words_of(text: str, language: str = "en", step_s: float = 0.1) -> list[tuple[str, float, float]]:
    ids = list(text.encode())
    starts = [round(i * step_s, 6) for i in range(len(ids) + 1)]
    words = make_words(ids, starts, [0.5] * len(ids), decode, language)
    return [(word.text, round(word.start_s, 3), round(word.end_s, 3)) for word in words]


def test_words_begin_at_spaces():
    assert words_of(" one two", step_s=0.1) == [(" one", 0.0, 0.4), (" two", 0.4, 0.8)]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([" Well", ",", " yes", "."], [" Well,", " yes."]),
        ([" he", " said", ' "', "no", '"', " tw", "ice"], [" he", " said", ' "no"', " twice"]),
        ([" don", "'t", " (", "ever", ")", " go", "-", "around"], [" don't", " (ever)", " go-around"]),
        ([" what", "?", "!", " yes"], [" what?!", " yes"]),
        ([" what", "?!", " yes"], [" what?!", " yes"]),
        ([" one", " ...", " two"], [" one ...", " two"]),
        (["no", " space"], ["no", " space"]),
        ([" end", ' "'], [" end", ' "']),
        ([" end", " ", "."], [" end ."]),
    ],
)
def test_punctuation_goes_with_its_word(pieces, expected):
    def decode_pieces(ids: list[int]) -> str:
        return "".join(pieces[i] for i in ids)

    starts = [0.1 * i for i in range(len(pieces) + 1)]
    words = make_words(range(len(pieces)), starts, [1.0] * len(pieces), decode_pieces, "en")
    assert [word.text for word in words] == expected


def test_unspaced_languages_go_by_characters():
    assert [text for text, _, _ in words_of("你好。吗", "zh")] == ["你", "好。", "吗"]
    assert [text for text, _, _ in words_of("你好 吗", "en")] == ["你好", " 吗"]


@given(text=st.text(alphabet=ALPHABET, max_size=40), language=st.sampled_from(["en", "zh"]))
def test_no_text_is_lost_and_times_are_in_order(text, language):
    words = words_of(text, language)
    assert "".join(word for word, _, _ in words) == text
    times = [time for _, start, end in words for time in (start, end)]
    assert times == sorted(times)


def test_a_character_cut_off_at_the_end_is_dropped():
    ids = list(" a你".encode())[:-1]
    words = make_words(ids, [0.0] * (len(ids) + 1), [1.0] * len(ids), decode, "en")
    assert [word.text for word in words] == [" a"]


def test_probability_is_the_mean_of_the_tokens():
    (word,) = make_words(list(b" a"), [0.0, 0.1, 0.2], [0.2, 0.6], decode, "en")
    assert word.probability == pytest.approx(0.4)


def timed(*lengths_s: float, text: str) -> list[tuple[str, float, float]]:
    """Words of one byte and a space or mark each, two bytes a word, with the given lengths."""
    ids = list(text.encode())
    starts = [0.0]
    for length_s in lengths_s:
        starts += [starts[-1] + length_s / 2, starts[-1] + length_s]
    words = make_words(ids, starts, [1.0] * len(ids), decode, "en")
    return [(word.text, round(word.start_s, 3), round(word.end_s, 3)) for word in words]


def test_a_first_word_stretched_over_silence_loses_its_begin():
    assert timed(3.0, 0.3, 0.3, text=" a b c")[0] == (" a", 2.4, 3.0)


def test_a_word_in_a_sentence_may_be_long():
    assert timed(0.3, 3.0, 0.3, 0.3, text=" a b c d")[1] == (" b", 0.3, 3.3)


def test_no_words():
    assert make_words([], [0.0], [], decode, "en") == ()
