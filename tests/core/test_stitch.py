"""Words at the borders of turns: each is written once, by whoever said it."""

from __future__ import annotations

from app.core.stitch import Stitcher, StitchRules
from app.core.types import Decoded, DecodedTurn, DecodeTurn, Word
from tests.core.laws import run


def words(text: str, start: int, each: int = 4_000, confidence: float = 0.9) -> tuple[Word, ...]:
    return tuple(Word(w, start + i * each, start + (i + 1) * each, confidence) for i, w in enumerate(text.split()))


def decoded(*turns: tuple[int, int, int, tuple[Word, ...]]) -> Decoded:
    return Decoded(tuple(DecodedTurn(DecodeTurn(start, end, speaker), said) for start, end, speaker, said in turns))


def lines(*answers: Decoded) -> list[tuple[int, str]]:
    return [(s.speaker, s.text) for s in run(Stitcher(StitchRules()), answers)]


def test_a_word_in_both_margins_belongs_to_the_turn_that_holds_it() -> None:
    a = (0, 16_000, 0, words("how are you fine", 0))
    b = (16_000, 32_000, 1, words("fine thank you", 16_000))
    a_with_echo = (0, 16_000, 0, words("how are you", 0) + words("fine", 16_400))
    assert lines(decoded(a_with_echo, b)) == [(0, "how are you"), (1, "fine thank you")]
    assert lines(decoded(a)) == [(0, "how are you fine")]


def test_also_across_two_windows() -> None:
    first = decoded((0, 16_000, 0, words("how are you", 0) + words("fine", 16_400)))
    second = decoded((16_000, 32_000, 1, words("fine thank you", 16_000)))
    assert lines(first, second) == [(0, "how are you"), (1, "fine thank you")]


def test_a_sentence_heard_twice_in_overlap_is_written_once() -> None:
    loud = (0, 40_000, 0, words("i think we should go home now", 0, confidence=0.9))
    quiet = (8_000, 28_000, 1, words("we should go", 8_000, confidence=0.5))
    written = lines(decoded(loud, quiet))
    assert written == [(0, "i think we should go home now")]


def test_people_do_say_the_same_word_at_once() -> None:
    written = lines(decoded((0, 8_000, 0, words("yeah", 1_000)), (0, 8_000, 1, words("yeah", 1_500))))
    assert written == [(0, "yeah"), (1, "yeah")]


def test_words_far_outside_the_turn_are_not_its_own() -> None:
    assert lines(decoded((16_000, 32_000, 0, words("before", 0) + words("inside", 20_000)))) == [(0, "inside")]


def test_empty_answers_make_no_segments() -> None:
    assert lines(decoded(), decoded((0, 100, 0, ()))) == []
