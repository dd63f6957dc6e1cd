"""The decoder around a model: recorded answers onto turns, flags, counts. Times below are in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from models.decoders.base import DecoderInput, DecoderOutput, DecoderTurn
from models.decoders.public.decoder import PublicDecoder, PublicRules
from models.decoders.public.kinds import MOSS, VIBEVOICE, Hint, Kind
from models.decoders.public.writer import Written, first_round, goes_in_circles

SECOND = 16_000


class Recorded:
    """A writer that answers what it was given, letter by letter, and notes what it was asked."""

    def __init__(self, *texts: str, ended: bool = True, looped: bool = False) -> None:
        self.answers = [
            Written(tuple((c, -0.5 if c.isupper() else 0.0) for c in text), ended, looped) for text in texts
        ]
        self.asked: list[tuple[list[int], list[Hint], list[int]]] = []

    def write(self, sounds: Sequence[np.ndarray], hints: Sequence[Hint], limits: Sequence[int]) -> list[Written]:
        self.asked.append(([len(sound) for sound in sounds], list(hints), list(limits)))
        answers, self.answers = self.answers[: len(sounds)], self.answers[len(sounds) :]
        return answers


def window(*turns: tuple[float, float, int], seconds: float = 20, **change: object) -> DecoderInput:
    sorted_turns = tuple(DecoderTurn(int(a * SECOND), int(b * SECOND), speaker) for a, b, speaker in turns)
    return DecoderInput(np.zeros(int(seconds * SECOND), np.float32), sorted_turns, **change)


def decode(
    text: str, item: DecoderInput, *, kind: Kind = MOSS, ended: bool = True, looped: bool = False
) -> tuple[DecoderOutput, PublicDecoder]:
    decoder = PublicDecoder(kind, Recorded(text, ended=ended, looped=looped))
    return decoder.decode_batch([item])[0], decoder


def said(output: DecoderOutput) -> list[str]:
    return [" ".join(word.text for word in turn.words) for turn in output.turns]


def flags(output: DecoderOutput) -> list[set[str]]:
    return [set(turn.flags) for turn in output.turns]


def test_speakers_are_matched_by_common_time() -> None:
    """The model's S02 is the diarization's speaker 0 and the other way round; overlapped speech stays apart."""
    text = "[0.0][S02]one two[4.0][3.0][S01]three four[8.0][9.0][S02]five[10.0]"
    output, decoder = decode(text, window((0, 4, 0), (3, 8, 1), (9, 10, 0)))
    assert said(output) == ["one two", "three four", "five"]
    assert flags(output) == [set(), set(), set()]
    assert decoder.counts["segments"] == 3
    assert decoder.counts["words"] == 5


def test_inside_somebody_elses_turn_only_the_speaker_tells() -> None:
    """The last segment lies in turns of both; its speaker is known from where else that one speaks."""
    text = "[0.0][S02]one two[4.0][2.0][S01]three four five[14.0][10.0][S02]six seven[13.0]"
    output, _ = decode(text, window((0, 4, 0), (2, 14, 1), (10, 13, 0)))
    assert said(output) == ["one two", "three four five", "six seven"]


def test_vibevoice_is_read_the_same_way() -> None:
    text = '[{"Start":0,"End":4,"Speaker":1,"Content":"one two"},{"Start":3,"End":8,"Speaker":0,"Content":"three"}]'
    output, _ = decode(text, window((0, 4, 7), (3, 8, 2)), kind=VIBEVOICE)
    assert said(output) == ["one two", "three"]


def test_words_share_the_time_in_which_their_speaker_speaks() -> None:
    """A pause inside a segment gets no words: they are spread over the turns under it, by letters."""
    output, _ = decode("[0.0][S01]aaaa bbbb cccc dddd[12.0]", window((0, 4, 0), (8, 12, 0)))
    assert said(output) == ["aaaa bbbb", "cccc dddd"]
    times = [(word.start / SECOND, word.end / SECOND) for turn in output.turns for word in turn.words]
    assert times == [(0, 2), (2, 4), (8, 10), (10, 12)]


def test_a_segment_over_two_peoples_turns_is_cut_by_time() -> None:
    """The model took two people for one: the second one's words still come to the second one's turn."""
    output, decoder = decode("[0.0][S01]aaaa bbbb cccc dddd[8.0]", window((0, 2, 0), (2, 8, 1), (10, 14, 0)))
    assert said(output) == ["aaaa", "bbbb cccc dddd", ""]
    output, decoder = decode(
        "[0.0][S01]aaaa bbbb cccc dddd[8.0][10.0][S01]eeee[18.0]", window((0, 2, 0), (2, 8, 1), (10, 18, 0))
    )
    assert said(output) == ["aaaa", "bbbb cccc dddd", "eeee"]
    assert decoder.counts["segments_by_time"] == 1


def test_more_speakers_than_the_diarization_has() -> None:
    output, decoder = decode("[0.0][S01]aa[3.0][3.0][S02]bb[5.0]", window((0, 5, 0)))
    assert said(output) == ["aa bb"]
    assert decoder.counts["speakers_merged"] == 1


def test_words_in_no_turn_are_counted_and_the_nearest_turn_is_told(caplog: pytest.LogCaptureFixture) -> None:
    output, decoder = decode("[0.0][S01]aa[2.0][10.0][S01]secret words[12.0]", window((0, 2, 0), (15, 18, 1)))
    assert said(output) == ["aa", ""]
    assert flags(output) == [set(), {"possibly_truncated"}]
    assert decoder.counts["words_outside"] == 2
    assert "words_outside 2" in caplog.text
    assert "secret" not in caplog.text


def test_text_without_any_tag_is_shared_out_by_time() -> None:
    output, decoder = decode("aaaa bbbb cccc dddd", window((0, 5, 0), (10, 15, 1)))
    assert said(output) == ["aaaa bbbb", "cccc dddd"]
    assert decoder.counts["stray_text"] == 1


def test_turns_that_are_not_asked_keep_their_words() -> None:
    item = DecoderInput(
        np.zeros(10 * SECOND, np.float32),
        (DecoderTurn(0, 5 * SECOND, 0, ask=False), DecoderTurn(5 * SECOND, 9 * SECOND, 1)),
    )
    output, decoder = decode("[0.0][S01]old[5.0][5.0][S02]new[9.0]", item)
    assert said(output) == ["new"]
    assert decoder.counts["words_outside"] == 0


def test_an_answer_that_broke_off_flags_what_comes_after() -> None:
    item = window((0, 2, 0), (3, 5, 1), (6, 9, 0))
    output, decoder = decode("[0.0][S01]aa[2.0][3.0][S02]bb", item, ended=False)
    assert said(output) == ["aa", "bb", ""]
    assert flags(output) == [set(), {"possibly_truncated"}, {"possibly_truncated"}]
    assert decoder.counts["answers_unended"] == 1
    output, _ = decode("", item, ended=False)
    assert flags(output) == [{"possibly_truncated"}] * 3


def test_repetition_is_cut_and_flagged() -> None:
    item = window((0, 4, 0), (5, 15, 1))
    output, _ = decode("[0.0][S01]fine[4.0][5.0][S02]" + "and then it " * 9 + "[15.0]", item)
    assert said(output) == ["fine", "and then it"]
    assert flags(output) == [set(), {"repetition"}]
    output, decoder = decode("[0.0][S01]fine[4.0]" + "[5.0][S02]so it goes[9.0]" * 5, item)
    assert said(output) == ["fine", "so it goes"]
    assert flags(output) == [set(), {"repetition"}]
    assert decoder.counts["segment_repeated"] == 4
    output, decoder = decode("[0.0][S01]fine[4.0][5.0][S02]and[6.0]", item, ended=False, looped=True)
    assert flags(output) == [set(), {"repetition", "possibly_truncated"}]
    assert decoder.counts["answers_looped"] == 1


def test_silence_gives_no_words() -> None:
    text = '[{"Start":0,"End":20,"Content":"[Silence]"}]'
    output, decoder = decode(text, window((0, 2, 0), (3, 5, 1)), kind=VIBEVOICE)
    assert flags(output) == [{"no_speech"}] * 2
    assert not decoder.counts["words"]


def test_confidence_is_of_the_words_own_tokens() -> None:
    output, _ = decode("[0.0][S01]AB ab Ab[3.0]", window((0, 3, 0)))
    sure, unsure = 1.0, math.exp(-0.5)
    expected = [unsure, sure, (sure + unsure) / 2]
    assert [word.confidence for word in output.turns[0].words] == pytest.approx(expected)


def test_hints_limits_and_language() -> None:
    """Windows without a question are not written; the rest go in batches, each with its own limit."""
    writer = Recorded("[0.0][S01]a[1.0]", "[0.0][S01]b[1.0]", "[0.0][S01]c[1.0]")
    decoder = PublicDecoder(MOSS, writer, PublicRules(max_batch=2, tokens_per_s=10, spare_tokens=5))
    nobody = DecoderInput(np.zeros(100, np.float32), (DecoderTurn(0, 100, 0, ask=False),))
    items = [window((0, 1, 0), seconds=s, hotwords=("Crosstalk",), context="so", language="de") for s in (1, 2, 3)]
    outputs = decoder.decode_batch([items[0], nobody, *items[1:]])
    assert [said(output) for output in outputs] == [["a"], [], ["b"], ["c"]]
    assert [output.language for output in outputs] == ["de", None, "de", "de"]
    hint = Hint(("Crosstalk",), "so")
    assert writer.asked == [
        ([SECOND, 2 * SECOND], [hint, hint], [15, 25]),
        ([3 * SECOND], [hint], [35]),
    ]


def test_what_the_models_are_told() -> None:
    hints = [Hint(("Crosstalk", "SOT"), "so"), Hint()]
    assert MOSS.request(hints) == {"keywords": [["Crosstalk", "SOT"], None], "prompt": ["so", None]}
    assert VIBEVOICE.request(hints) == {"prompt": ["Crosstalk, SOT. so", None]}


@pytest.mark.parametrize(
    ("tokens", "circles"),
    [
        ([7] * 96, True),
        ([7] * 95, False),
        ([1, 2, 3] * 40, True),
        (list(range(40)) * 4, True),
        (list(range(40)) * 3, False),
        ([*range(200), 1], False),
        ([1, 2, 3] * 40 + [9], False),
        ([], False),
    ],
)
def test_what_goes_in_circles(tokens: list[int], circles: bool) -> None:
    assert goes_in_circles(tokens) == circles
    assert (first_round(tokens) != tokens) == circles


def test_of_a_loop_the_first_round_stays() -> None:
    assert first_round([8, 9, *[1, 2, 3] * 40]) == [8, 9, 1, 2, 3]
    assert first_round([8, 9, *[1, 2, 3] * 40, 1]) == [8, 9, 1, 2, 3]
