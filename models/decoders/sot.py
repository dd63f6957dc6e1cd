"""The SOT decoder: an LLM that hears the window and is told who speaks when in it writes each asked turn.

1. The first pass (the target-speaker Whisper, or the cascade) writes text of every turn, and the words' times.
2. The window's encoder states, the turns and that text go to the LLM (`models.sot`), which writes the asked turns.
3. Guards: an answer that repeats itself, or that was still going on at the turn's limit, is given up for the first
   pass's words and flagged; in a window where the first pass heard no word at all, the LLM is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from models.asr.features import SAMPLE_RATE_HZ
from models.asr.whisper import WhisperAsr
from models.decoders.base import (
    NO_SPEECH,
    REPETITION,
    TRUNCATED,
    Decoder,
    DecoderInput,
    DecoderOutput,
    DecoderTurn,
    DecoderTurnOutput,
    DecoderWord,
)
from models.decoders.repetition import first_repetition
from models.errors import BadCheckpoint, ModelError
from models.sot.generate import Answer, TurnRequest, WindowRequest, generate
from models.sot.modeling import SotModel
from models.sot.text import plain_decode, plain_encode
from models.sot.tokens import TurnPrompt, activity
from models.sot.words import place_words, split_words


class WindowRejected(ModelError):
    """A window cannot be read by the SOT decoder: too long, or with more speakers than it has slots."""

    code = "window_rejected"


@dataclass(frozen=True, slots=True)
class SotRules:
    """What the LLM is asked for.

    least_overlap: share of a turn in which others speak too, from which on the LLM writes it; others keep the first
        pass's words. 0 = every turn.
    trust: how much surer than of the first pass's next token the LLM must be of another one, in nats, to write it.
    sound, text: whether the LLM is given the sound, and the first pass's text; without one of them it is measured what
        that is good for.
    tokens_per_s, spare_tokens: a turn may have `spare_tokens + tokens_per_s * its seconds` tokens.
    max_batch: windows written at once.
    """

    least_overlap: float = 0.0
    trust: float = 0.0
    sound: bool = True
    text: bool = True
    tokens_per_s: float = 10.0
    spare_tokens: int = 16
    max_batch: int = 8


class SotDecoder:
    """First pass, then the LLM. Holds no state of any session."""

    name = "sot"

    def __init__(
        self,
        asr: WhisperAsr,
        model: SotModel,
        tokenizer: PreTrainedTokenizerBase,
        first: Decoder,
        rules: SotRules = SotRules(),
    ) -> None:
        """first: what writes the first pass.

        Raises BadCheckpoint where the decoder was trained with an encoder of another width.
        """
        config = model.config
        if config.encoder_width != asr.d_model:
            raise BadCheckpoint(
                f"the SOT checkpoint hears {config.encoder!r}, whose states have width {config.encoder_width}; "
                f"this encoder's have width {asr.d_model}"
            )
        self.max_samples = config.max_samples
        self.asr = asr
        self.first = first
        self.model = model
        self._text = plain_decode(tokenizer)
        self._encode = plain_encode(tokenizer)
        self._rules = rules

    def decode_batch(self, inputs: Sequence[DecoderInput]) -> list[DecoderOutput]:
        """Raises UnsupportedLanguage, and WindowRejected for a window that is too long or has too many speakers."""
        for item in inputs:
            self._check(item)
        first = self.first.decode_batch(inputs)
        outputs: list[DecoderOutput] = []
        for begin in range(0, len(inputs), self._rules.max_batch):
            part = slice(begin, begin + self._rules.max_batch)
            outputs.extend(self._decode(inputs[part], first[part]))
        return outputs

    def _check(self, item: DecoderInput) -> None:
        if len(item.samples) > self.max_samples:
            raise WindowRejected(
                f"a window of {len(item.samples)} samples is too long; the decoder hears at most {self.max_samples}"
            )
        speakers = len({turn.speaker for turn in item.turns})
        if speakers > self.model.config.slots:
            raise WindowRejected(f"{speakers} speakers in one window; the decoder knows {self.model.config.slots}")
        for turn in item.turns:
            if not 0 <= turn.start < turn.end:
                raise WindowRejected(f"a turn from {turn.start} to {turn.end} is empty or begins before its window")
            if turn.start >= len(item.samples):
                raise WindowRejected(
                    f"a turn from {turn.start} to {turn.end} lies beyond its window of {len(item.samples)} samples"
                )

    def _decode(self, inputs: Sequence[DecoderInput], first: Sequence[DecoderOutput]) -> list[DecoderOutput]:
        chosen = [self._chosen(item, output) for item, output in zip(inputs, first, strict=True)]
        requests = [
            self.request(item, output.turns, places) if places else None
            for item, output, places in zip(inputs, first, chosen, strict=True)
        ]
        asked_for = [request for request in requests if request is not None]
        written = iter(generate(self.model, asked_for, trust=self._rules.trust))
        results = []
        for item, output, places in zip(inputs, first, chosen, strict=True):
            asked, turns = [turn for turn in item.turns if turn.ask], list(output.turns)
            for place, answer in zip(places, next(written) if places else (), strict=True):
                turns[place] = self._turn(asked[place], turns[place], answer)
            results.append(replace(output, turns=tuple(turns)))
        return results

    def _chosen(self, item: DecoderInput, first: DecoderOutput) -> list[int]:
        """Which of the asked turns the LLM writes: none where the first pass heard no word at all."""
        if not any(turn.words for turn in first.turns):
            return []
        asked = [turn for turn in item.turns if turn.ask]
        return [
            place
            for place, turn in enumerate(asked)
            if self._rules.least_overlap <= 0 or overlap_share(turn, item.turns) >= self._rules.least_overlap
        ]

    def request(
        self, item: DecoderInput, first: Sequence[DecoderTurnOutput], places: Sequence[int] | None = None
    ) -> WindowRequest:
        """What the model reads of a window.

        Args:
            first: the first pass's answer of each asked turn.
            places: which of them are to be written; None = all.
        """
        slots: dict[int, int] = {}
        for turn in item.turns:
            slots.setdefault(turn.speaker, len(slots))
        length = len(item.samples)
        states = self.asr.encode_window(item.samples).float()
        if not self._rules.sound:
            states = torch.zeros_like(states)
        config = self.model.config
        spans = [(turn.start, min(turn.end, length), slots[turn.speaker]) for turn in item.turns]
        marks = activity(spans, config.frames(len(states) * 320), config.slots, config.step_samples)
        asked = [turn for turn in item.turns if turn.ask]
        chosen = range(len(asked)) if places is None else places
        turns = [self._ask(asked[place], slots, length, first[place]) for place in chosen]
        return WindowRequest(states, torch.from_numpy(marks), turns)

    def _ask(self, turn: DecoderTurn, slots: dict[int, int], length: int, first: DecoderTurnOutput) -> TurnRequest:
        step = self.model.config.step_samples
        text = turn.hypothesis if turn.hypothesis is not None else " ".join(word.text for word in first.words)
        end = min(turn.end, length)
        prompt = TurnPrompt(
            slots[turn.speaker],
            min(turn.start, length) // step,
            None if turn.open else -(-end // step),
            self._tokens(text) if self._rules.text else None,
        )
        return TurnRequest(prompt, answer_limit(turn.end - turn.start, self._rules))

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self._encode(" " + text.strip())) if text.strip() else ()

    def _turn(self, turn: DecoderTurn, first: DecoderTurnOutput, answer: Answer) -> DecoderTurnOutput:
        """The answer as words; the first pass's where it is no answer."""
        words = place_words(split_words(answer.tokens, answer.logprobs, self._text), first.words, turn.start, turn.end)
        if first_repetition([word.text for word in words]) is not None:
            return DecoderTurnOutput(first.words, first.flags | {REPETITION})
        if not answer.ended:
            return DecoderTurnOutput(first.words, first.flags | {TRUNCATED})
        if NO_SPEECH in first.flags:
            return first
        return DecoderTurnOutput(words)


def overlap_share(turn: DecoderTurn, turns: Sequence[DecoderTurn]) -> float:
    """Share of a turn during which somebody else has a turn too."""
    step = SAMPLE_RATE_HZ // 100
    busy = np.zeros(max(1, -(-(turn.end - turn.start) // step)), dtype=bool)
    for other in turns:
        if other.speaker != turn.speaker:
            low, high = max(0, other.start - turn.start), max(0, other.end - turn.start)
            busy[low // step : high // step] = True
    return float(busy.mean())


def answer_limit(samples: int, rules: SotRules) -> int:
    """Most tokens that a turn of so many samples may have."""
    return rules.spare_tokens + int(rules.tokens_per_s * samples / SAMPLE_RATE_HZ)


__all__ = ["DecoderWord", "SotDecoder", "SotRules", "WindowRejected", "answer_limit", "overlap_share"]
