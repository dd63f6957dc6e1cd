"""The target-speaker decoder: who is heard when, whose words they are, its guards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from models.asr.whisper import AsrResult
from models.asr.words import AsrWord
from models.decoders.base import (
    NO_SPEECH,
    REPETITION,
    TRUNCATED,
    DecoderInput,
    DecoderOutput,
    DecoderTurn,
    DecoderTurnOutput,
    DecoderWord,
)
from models.decoders.target import TargetDecoder
from models.target.whisper import TargetClip, TargetWhisper

RATE = 16_000
MARGIN = 4_800


def say(*words: tuple[str, float, float]) -> AsrResult:
    """words: text, start and end in seconds of the clip."""
    made = tuple(AsrWord(" " + text, start, end, 0.9) for text, start, end in words)
    return AsrResult("", "en", (), (), -0.2, 0.0, 1.0, False, made)


class FakeWhisper:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, *answers: AsrResult) -> None:
        self.answers = list(answers)
        self.clips: list[TargetClip] = []
        self.calls: list[tuple[str | None, str | None]] = []

    def write(
        self, clips: Sequence[TargetClip], *, language: str | None, prompt: str | None = None, brief: bool = False
    ) -> list[AsrResult]:
        self.calls.append((language, prompt))
        self.clips.extend(clips)
        return [self.answers.pop(0) for _ in clips]


class Foreign:
    """Writes one word of its own in every turn."""

    name, max_samples = "foreign", 480_000

    def decode_batch(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        word = DecoderWord("fremd", 0, 1, 0.5)
        return [DecoderOutput(tuple(DecoderTurnOutput((word,)) for _ in item.turns), "de") for item in inputs]


@pytest.fixture
def decoder_of() -> Callable[..., tuple[TargetDecoder, FakeWhisper]]:
    def make(*answers: AsrResult) -> tuple[TargetDecoder, FakeWhisper]:
        whisper = FakeWhisper(*answers)
        return TargetDecoder(cast(TargetWhisper, whisper), "en", Foreign()), whisper

    return make


def window(seconds: float, *turns: DecoderTurn, language: str | None = "en", **more: object) -> DecoderInput:
    return DecoderInput(np.zeros(round(seconds * RATE), np.float32), turns, language, **more)  # type: ignore[arg-type]


A1, B, A2 = DecoderTurn(RATE, 2 * RATE, 5), DecoderTurn(RATE, 4 * RATE, 8), DecoderTurn(2 * RATE + 8_000, 4 * RATE, 5)
Make = Callable[..., tuple[TargetDecoder, FakeWhisper]]


def test_each_speaker_is_heard_once_and_told_of_the_others(decoder_of: Make) -> None:
    decoder, whisper = decoder_of(say(), say())
    decoder.decode_batch([window(6, A1, B, A2)])
    first, second = whisper.clips
    assert len(first.samples) == len(second.samples) == 3 * RATE + 2 * MARGIN
    assert first.target == ((MARGIN, MARGIN + RATE), (MARGIN + RATE + 8_000, MARGIN + 3 * RATE))
    assert first.others == ((MARGIN, MARGIN + 3 * RATE),)
    assert (second.target, second.others) == (first.others, first.target)


def test_turns_with_a_long_pause_between_are_heard_apart(decoder_of: Make) -> None:
    near, far = DecoderTurn(2 * RATE + 8_000, 3 * RATE, 5), DecoderTurn(4 * RATE, 5 * RATE, 5)
    decoder, whisper = decoder_of(say(("a", 0.4, 0.8), ("b", 1.9, 2.2)), say(("c", 0.4, 0.8)))
    output = decoder.decode_batch([window(6, A1, near, far)])[0]
    assert [len(clip.samples) for clip in whisper.clips] == [2 * RATE + 2 * MARGIN, RATE + 2 * MARGIN]
    assert [[word.text for word in turn.words] for turn in output.turns] == [["a"], ["b"], ["c"]]


def test_words_go_to_the_speakers_turn_that_they_lie_in(decoder_of: Make) -> None:
    decoder, _ = decoder_of(say(("one", 0.4, 0.8), ("two", 2.5, 2.9)), say(("other", 0.4, 0.9)))
    turns = decoder.decode_batch([window(6, A1, B, A2)])[0].turns
    assert [[word.text for word in turn.words] for turn in turns] == [["one"], ["other"], ["two"]]
    assert turns[0].words[0].start == RATE - MARGIN + round(0.4 * RATE)


def test_a_word_is_cut_to_its_turn(decoder_of: Make) -> None:
    decoder, _ = decoder_of(say(("one", 0.0, 0.7), ("two", 0.9, 1.6), ("late", 1.45, 1.6)))
    words = decoder.decode_batch([window(6, A1)])[0].turns[0].words
    start = RATE - MARGIN
    assert [(word.start, word.end) for word in words] == [
        (RATE, start + 11_200),
        (start + 14_400, 2 * RATE),
        (start + 23_200, start + 25_600),
    ]


def test_turns_that_are_not_asked_are_heard_but_not_answered(decoder_of: Make) -> None:
    decoder, whisper = decoder_of(say(("one", 0.4, 0.8)))
    output = decoder.decode_batch([window(6, A1, replace(B, ask=False), replace(A2, ask=False))])[0]
    assert len(output.turns) == 1
    assert len(whisper.clips[0].samples) == RATE + 2 * MARGIN
    assert whisper.clips[0].others == ((MARGIN, MARGIN + 3 * RATE),)


def test_a_word_in_a_turn_that_was_not_asked_is_dropped(decoder_of: Make) -> None:
    near = DecoderTurn(2 * RATE + 1600, 3 * RATE, 5, ask=False)
    decoder, whisper = decoder_of(say(("mine", 0.4, 0.8), ("next", 1.4, 1.55)))
    output = decoder.decode_batch([window(6, A1, near)])[0]
    assert len(whisper.clips[0].target) == 2
    assert [word.text for word in output.turns[0].words] == ["mine"]


def test_what_the_speaker_said_just_before_is_heard_too(decoder_of: Make) -> None:
    before, asked = replace(A1, ask=False), DecoderTurn(2 * RATE, 3 * RATE, 5)
    far = DecoderTurn(0, 1_600, 5, ask=False)
    decoder, whisper = decoder_of(say(("old", 0.4, 0.8), ("new", 1.5, 1.9)))
    output = decoder.decode_batch([window(6, far, before, asked)])[0]
    assert len(whisper.clips[0].samples) == 2 * RATE + 2 * MARGIN
    assert [[word.text for word in turn.words] for turn in output.turns] == [["new"]]


def test_silence_is_nothing_written(decoder_of: Make) -> None:
    decoder, _ = decoder_of(replace(say(("thanks", 0.4, 0.8)), no_speech_prob=0.9, avg_logprob=-1.5))
    turn = decoder.decode_batch([window(6, A1)])[0].turns[0]
    assert (turn.words, turn.flags) == ((), {NO_SPEECH})


def test_a_loop_is_cut_and_flagged(decoder_of: Make) -> None:
    decoder, _ = decoder_of(
        say(*((word, 0.3 + 0.05 * i, 0.35 + 0.05 * i) for i, word in enumerate(["so", "it", "is"] * 5)))
    )
    turn = decoder.decode_batch([window(6, A1)])[0].turns[0]
    assert [word.text for word in turn.words] == ["so", "it", "is"]
    assert turn.flags == {REPETITION}


def test_what_was_still_going_on_is_flagged(decoder_of: Make) -> None:
    decoder, _ = decoder_of(replace(say(("one", 0.4, 0.8)), truncated=True))
    assert decoder.decode_batch([window(6, A1)])[0].turns[0].flags == {TRUNCATED}


def test_windows_of_one_language_share_a_batch(decoder_of: Make) -> None:
    decoder, whisper = decoder_of(say(("ja", 0.4, 0.8)), say(("one", 0.4, 0.8)), say(("two", 0.4, 0.8)))
    items = [window(6, A1, language=None), window(6, A1), window(6, A1, hotwords=("Ada",)), window(6)]
    whisper.answers.append(say())
    outputs = decoder.decode_batch(items)
    assert whisper.calls == [(None, None), ("en", None), ("en", "Ada.")]
    assert [output.language for output in outputs] == ["en", "en", "en", "en"]
    assert [len(output.turns) for output in outputs] == [1, 1, 1, 0]


def test_another_language_is_left_to_another_decoder(decoder_of: Make) -> None:
    decoder, whisper = decoder_of(replace(say(("hm", 0.4, 0.8)), language="de"), say(("one", 0.4, 0.8)))
    items = [window(6, A1, language="fr"), window(6, A1, language=None), window(6, A1)]
    outputs = decoder.decode_batch(items)
    assert [output.turns[0].words[0].text for output in outputs] == ["fremd", "fremd", "one"]
    assert [output.language for output in outputs] == ["de", "de", "en"]
    assert len(whisper.clips) == 2


def test_a_turn_beyond_the_window_has_no_words(decoder_of: Make) -> None:
    decoder, whisper = decoder_of()
    output = decoder.decode_batch([window(2, DecoderTurn(4 * RATE, 5 * RATE, 0))])[0]
    assert output.turns[0].words == ()
    assert whisper.clips == []
