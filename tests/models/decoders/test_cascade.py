"""The cascade's logic with a Whisper that says what the test wants: who gets which word, second looks, guards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from models.asr.whisper import AsrResult
from models.asr.words import AsrWord
from models.decoders.base import NO_SPEECH, REPETITION, DecoderInput, DecoderTurn
from models.decoders.cascade import CascadeDecoder


def heard(text: str, start_s: float = 0.0, each_s: float = 0.4, **more: float) -> AsrResult:
    words = tuple(
        AsrWord(" " + w, start_s + i * each_s, start_s + (i + 1) * each_s, more.get("probability", 0.9))
        for i, w in enumerate(text.split())
    )
    return AsrResult(
        text=text,
        language="en",
        tokens=(),
        logprobs=(),
        avg_logprob=more.get("avg_logprob", -0.2),
        no_speech_prob=more.get("no_speech_prob", 0.0),
        compression_ratio=1.0,
        truncated=False,
        words=words,
    )


@dataclass
class FakeAsr:
    """Answers by a function of the clip's length in seconds; remembers what it was asked."""

    answer: Callable[[float], AsrResult]
    calls: list[tuple[list[float], str | None, str | None]] = field(default_factory=list)

    def transcribe(
        self, clips: Sequence[np.ndarray], *, language: str | None, prompt: str | None = None
    ) -> list[AsrResult]:
        lengths = [len(clip) / 16_000 for clip in clips]
        self.calls.append((lengths, language, prompt))
        return [self.answer(length) for length in lengths]


def turn(start_s: float, end_s: float, speaker: int, ask: bool = True) -> DecoderTurn:
    return DecoderTurn(round(start_s * 16_000), round(end_s * 16_000), speaker, ask)


def window(*turns: DecoderTurn, seconds: float = 10.0, language: str | None = "en", **more: object) -> DecoderInput:
    return DecoderInput(np.ones(round(seconds * 16_000), dtype=np.float32), turns, language, **more)  # type: ignore[arg-type]


def texts(decoder: CascadeDecoder, item: DecoderInput) -> list[str]:
    return [" ".join(w.text for w in t.words) for t in decoder.decode_batch([item])[0].turns]


def test_words_go_to_their_turns() -> None:
    asr = FakeAsr(lambda _: heard("how are you fine thanks"))
    assert texts(CascadeDecoder(asr), window(turn(0, 1.2, 0), turn(1.2, 2.0, 1))) == ["how are you", "fine thanks"]  # type: ignore[arg-type]
    assert len(asr.calls[0][0]) == 1, "one pass over the window"


def test_only_what_is_asked_is_written() -> None:
    asr = FakeAsr(lambda _: heard("how are you fine thanks"))
    item = window(turn(0, 1.2, 0, ask=False), turn(1.2, 2.0, 1))
    # The clip begins 0.3 s before the asked turn, and words are told from there.
    words = CascadeDecoder(asr).decode_batch([item])[0].turns  # type: ignore[arg-type]
    assert len(words) == 1


def test_a_turn_that_was_talked_over_is_heard_again_without_echoes() -> None:
    def answer(seconds: float) -> AsrResult:
        return (
            heard("i think we should go home now okay", 0.0) if seconds > 3 else heard("should right yes indeed", 0.8)
        )

    asr = FakeAsr(answer)
    loud, quiet = turn(0, 3.2, 0), turn(0.8, 2.8, 1)
    assert texts(CascadeDecoder(asr), window(loud, quiet, seconds=3.5)) == [  # type: ignore[arg-type]
        "i think we should go home now okay",
        "right yes indeed",
    ]
    assert len(asr.calls) == 2


def test_a_second_look_that_is_mostly_echo_or_unsure_is_not_taken() -> None:
    for again in (heard("think we should nonsense", 0.0), heard("mumble grumble rumble", 0.8, probability=0.3)):
        asr = FakeAsr(lambda s, again=again: heard("i think we should go home now okay") if s > 3 else again)
        item = window(turn(0, 3.2, 0), turn(0.8, 2.8, 1), seconds=3.5)
        assert texts(CascadeDecoder(asr), item) == ["i think we should go home now okay", ""]  # type: ignore[arg-type]


def test_a_loop_is_cut_and_flagged() -> None:
    asr = FakeAsr(lambda _: heard("all right " + "and then we go " * 8, each_s=0.1))
    out = CascadeDecoder(asr).decode_batch([window(turn(0, 5, 0))])[0].turns[0]  # type: ignore[arg-type]
    assert " ".join(w.text for w in out.words) == "all right and then we go"
    assert REPETITION in out.flags


def test_silence_gets_no_words() -> None:
    asr = FakeAsr(lambda _: heard("thank you", avg_logprob=-1.5, no_speech_prob=0.9))
    out = CascadeDecoder(asr).decode_batch([window(turn(0, 5, 0))])[0]  # type: ignore[arg-type]
    assert out.turns[0].words == ()
    assert NO_SPEECH in out.turns[0].flags


def test_a_window_without_turns_costs_nothing() -> None:
    asr = FakeAsr(lambda _: heard("ghost"))
    outputs = CascadeDecoder(asr).decode_batch([window(), window(turn(0, 1, 0, ask=False))])  # type: ignore[arg-type]
    assert [o.turns for o in outputs] == [(), ()]
    assert all(lengths == [] for lengths, _, _ in asr.calls)


def test_languages_and_prompts_do_not_mix() -> None:
    asr = FakeAsr(lambda _: heard("one two three four five"))
    items = [
        window(turn(0, 2, 0), language="de"),
        window(turn(0, 2, 0), hotwords=("Kubernetes",)),
        window(turn(0, 2, 0), language="de"),
    ]
    outputs = CascadeDecoder(asr).decode_batch(items)  # type: ignore[arg-type]
    assert [o.language for o in outputs] == ["de", "en", "de"]
    assert [(len(lengths), language, prompt) for lengths, language, prompt in asr.calls if lengths] == [
        (2, "de", None),
        (1, "en", "Kubernetes."),
    ]


def test_a_word_stretched_over_a_pause_is_held_to_its_turn() -> None:
    """What stands first behind a pause begins there, not where the last word ended."""
    words = [("27", 0.3, 1.4), ("But", 1.4, 3.9), ("we", 3.9, 4.1)]
    answer = heard("", 0.0)
    said = tuple(AsrWord(f" {text}", start, end, 0.9) for text, start, end in words)
    asr = FakeAsr(lambda _: replace(answer, text="27 But we", words=said))
    (output,) = CascadeDecoder(asr).decode_batch([window(turn(0.3, 1.4, 0, ask=False), turn(3.4, 6.0, 0))])
    assert [(word.text, word.start / 16_000) for word in output.turns[0].words] == [("But", 3.1), ("we", 3.9)]
