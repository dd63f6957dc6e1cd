"""The SOT decoder on tiny random models: alone and in a batch, its guards, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.adapters.lora import adapters_of
from models.asr.whisper import AsrResult, WhisperAsr
from models.asr.words import AsrWord
from models.decoders import sot
from models.decoders.base import REPETITION, TRUNCATED, DecoderInput, DecoderTurn
from models.decoders.build import SOT_DIR, DecoderSettings, load_decoder
from models.decoders.cascade import CascadeDecoder
from models.decoders.sot import SotDecoder, SotRules, WindowRejected
from models.errors import BadCheckpoint
from models.named import UnknownModel
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.sot.checkpoint import CONFIG_FILE, load_checkpoint, save_checkpoint
from models.sot.generate import Answer, WindowRequest
from models.training.setup import make_model
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_asr, tiny_llm, tiny_recipe

RATE = 16_000


def say(text: str, each_s: float = 0.4) -> AsrResult:
    words = tuple(AsrWord(" " + w, i * each_s, (i + 1) * each_s, 0.9) for i, w in enumerate(text.split()))
    return AsrResult(text, "en", (), (), -0.2, 0.0, 1.0, False, words)


@pytest.fixture(scope="module")
def asr(tmp_path_factory: pytest.TempPathFactory) -> WhisperAsr:
    """A Whisper that hears with random weights and always writes the same."""
    asr = tiny_asr(tmp_path_factory.mktemp("asr"))
    asr.transcribe = lambda clips, **_: [say("one two three") for _ in clips]  # type: ignore[method-assign]
    return asr


@pytest.fixture(scope="module")
def decoder(asr: WhisperAsr, tmp_path_factory: pytest.TempPathFactory) -> SotDecoder:
    """By way of a checkpoint."""
    folder = tmp_path_factory.mktemp("sot")
    trained = make_model(tiny_llm(), tiny_recipe(), ENCODER_WIDTH)
    save_checkpoint(folder, trained, adapters_of(trained.llm))
    llm = tiny_llm()
    return SotDecoder(
        asr,
        load_checkpoint(folder, llm.model),
        llm.tokenizer,
        CascadeDecoder(asr),
        SotRules(tokens_per_s=2, spare_tokens=3),
    )


def window(seconds: float, seed: int, *turns: DecoderTurn) -> DecoderInput:
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    return DecoderInput(samples, turns, "en")


TURNS = (DecoderTurn(0, 2 * RATE, 4), DecoderTurn(RATE, 3 * RATE, 9), DecoderTurn(3 * RATE, 4 * RATE, 4, open=True))


def answering(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    def generate(_: object, windows: Sequence[WindowRequest], trust: float = 0.0) -> list[list[Answer]]:
        return [[answer for _ in window.turns] for window in windows]

    monkeypatch.setattr(sot, "generate", generate)


def spelled(decoder: SotDecoder, text: str, ended: bool = True) -> Answer:
    tokens = decoder._encode(" " + text)
    return Answer(tokens, [-0.1] * len(tokens), ended)


def test_a_batch_is_its_windows(decoder: SotDecoder) -> None:
    windows = [window(4.0, 1, *TURNS), window(3.0, 2, *TURNS[:1]), window(5.5, 3, *TURNS[:2]), window(2.0, 4)]
    together = decoder.decode_batch(windows)
    for output, item in zip(together, windows, strict=True):
        alone = decoder.decode_batch([item])[0]
        assert len(output.turns) == len(item.turns)
        for turn, other in zip(output.turns, alone.turns, strict=True):
            assert turn.flags == other.flags
            assert [(w.text, w.start, w.end) for w in turn.words] == [(w.text, w.start, w.end) for w in other.words]


def test_only_asked_turns_are_answered(decoder: SotDecoder) -> None:
    other = DecoderTurn(0, RATE, 5, ask=False)
    assert len(decoder.decode_batch([window(4.0, 1, other, *TURNS[1:])])[0].turns) == 2


def test_an_answer_is_written_with_times_within_its_turn(decoder: SotDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, spelled(decoder, "Uno due."))
    turn = decoder.decode_batch([window(4.0, 1, TURNS[1])])[0].turns[0]
    assert [word.text for word in turn.words] == ["Uno", "due."]
    assert turn.words[0].start == RATE
    assert turn.words[-1].end == 3 * RATE
    assert turn.words[0].confidence == pytest.approx(0.905, abs=0.01)
    assert turn.flags == frozenset()


@pytest.mark.parametrize(
    ("text", "ended", "flag"), [("no never " * 5, True, REPETITION), ("something else", False, TRUNCATED)]
)
def test_what_is_no_answer_is_given_up_and_flagged(
    decoder: SotDecoder, monkeypatch: pytest.MonkeyPatch, text: str, ended: bool, flag: str
) -> None:
    answering(monkeypatch, spelled(decoder, text, ended))
    turn = decoder.decode_batch([window(4.0, 1, TURNS[0])])[0].turns[0]
    assert [word.text for word in turn.words] == ["one", "two", "three"]
    assert flag in turn.flags


def test_a_given_first_pass_is_used(decoder: SotDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[WindowRequest] = []

    def generate(_: object, windows: Sequence[WindowRequest], trust: float = 0.0) -> list[list[Answer]]:
        seen.extend(windows)
        return [[Answer(ended=True) for _ in window.turns] for window in windows]

    monkeypatch.setattr(sot, "generate", generate)
    given = DecoderTurn(0, RATE, 0, hypothesis="given <|im_end|>")
    decoder.decode_batch([window(2.0, 1, given)])
    assert decoder._text(seen[0].turns[0].prompt.first_pass or ()) == " given "
    torch.testing.assert_close(seen[0].activity[:13, 0], torch.tensor([1.0] * 12 + [0.5]))


def test_nobody_heard_means_nothing_written(
    decoder: SotDecoder, asr: WhisperAsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asr, "transcribe", lambda clips, **_: [say("") for _ in clips])
    assert decoder.decode_batch([window(4.0, 1, *TURNS)])[0].turns[0].words == ()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (window(4.0, 1, *(DecoderTurn(0, RATE, speaker) for speaker in range(9))), "9 speakers"),
        (window(25.0, 1), "400000 samples is too long"),
        (window(1.0, 1, DecoderTurn(100, 100, 0)), "from 100 to 100"),
    ],
)
def test_what_cannot_be_read_is_named(decoder: SotDecoder, item: DecoderInput, message: str) -> None:
    with pytest.raises(WindowRejected, match=message):
        decoder.decode_batch([item])


def test_a_frame_long_turn_and_one_past_the_end(decoder: SotDecoder) -> None:
    short = DecoderTurn(0, 160, 0)
    late = DecoderTurn(RATE, 9 * RATE, 1)
    assert len(decoder.decode_batch([window(2.0, 1, short, late)])[0].turns) == 2


@pytest.mark.weights
@pytest.mark.skipif(not (SOT_DIR / CONFIG_FILE).is_file(), reason="no checkpoint is shipped")
def test_the_shipped_checkpoint_reads_a_window() -> None:
    loaded = load_decoder("sot", DecoderSettings(load_registry(), DEFAULT_WEIGHTS_DIR))
    output = loaded.decode_batch([window(3.0, 1, DecoderTurn(0, 2 * RATE, 0), DecoderTurn(RATE, 3 * RATE, 1))])[0]
    assert len(output.turns) == 2
    assert all(0 <= word.confidence <= 1 for turn in output.turns for word in turn.words)


def test_a_checkpoint_for_another_encoder_is_refused(asr: WhisperAsr) -> None:
    llm = tiny_llm()
    with pytest.raises(BadCheckpoint, match=f"width {ENCODER_WIDTH + 8}"):
        SotDecoder(asr, make_model(llm, tiny_recipe(), ENCODER_WIDTH + 8), llm.tokenizer, CascadeDecoder(asr))


def test_a_checkpoint_that_names_an_unknown_encoder_is_refused(tmp_path: Path) -> None:
    trained = make_model(tiny_llm(), tiny_recipe(), ENCODER_WIDTH)
    trained.config = replace(trained.config, encoder="whisper-huge")
    save_checkpoint(tmp_path, trained, adapters_of(trained.llm))
    with pytest.raises(UnknownModel, match="whisper-huge"):
        load_decoder("sot", DecoderSettings(load_registry(), DEFAULT_WEIGHTS_DIR, checkpoint=tmp_path))


def test_a_turn_wholly_beyond_its_window_is_refused(decoder: SotDecoder) -> None:
    with pytest.raises(WindowRejected, match="beyond"):
        decoder.decode_batch([window(2.0, 1, DecoderTurn(2 * RATE, 3 * RATE, 0))])


@pytest.mark.parametrize(("start", "end", "share"), [(0, 2, 0.5), (1, 3, 0.5), (3, 4, 0.0), (0, 1, 0.0), (1, 2, 1.0)])
def test_how_much_of_a_turn_is_overlapped(start: int, end: int, share: float) -> None:
    turn, other = DecoderTurn(start * RATE, end * RATE, 0), DecoderTurn(RATE, 2 * RATE, 1)
    assert sot.overlap_share(turn, (turn, other, DecoderTurn(0, 4 * RATE, 0))) == pytest.approx(share, abs=0.02)


def test_turns_without_overlap_keep_the_first_pass(
    asr: WhisperAsr, decoder: SotDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    choosy = SotDecoder(asr, decoder.model, tiny_llm().tokenizer, CascadeDecoder(asr), SotRules(least_overlap=0.4))
    answering(monkeypatch, spelled(choosy, "mended"))
    turns = choosy.decode_batch([window(4.0, 1, *TURNS)])[0].turns
    assert [[word.text for word in turn.words] == ["mended"] for turn in turns] == [True, True, False]
