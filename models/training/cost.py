"""What the SOT decoder costs: encoder, first pass and LLM per second of sound, tokens and passes, memory.

Measured on windows made by a recipe, on this machine; every stage runs alone, one window at a time.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from models.asr.features import SAMPLE_RATE_HZ
from models.decoders.base import DecoderInput, DecoderTurn
from models.decoders.sot import SotDecoder
from models.sot.generate import DRAFT, WindowRequest, generate
from models.training.windows import SimulatedWindow

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of work, and what was written. passes: of the LLM; sound_s: seconds of sound."""

    stage: str
    sound_s: float
    seconds: float
    tokens: int = 0
    passes: int = 0


class CostMeter:
    """Runs the stages over windows."""

    def __init__(self, decoder: SotDecoder) -> None:
        self._decoder = decoder
        self._passes = 0
        decoder.model.llm.base_model.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self._passes += 1

    def run(self, windows: Sequence[SimulatedWindow], drafts: Sequence[int] = (0, DRAFT)) -> list[Cost]:
        """Cost of each stage; the LLM's once for each number of tokens guessed per pass."""
        inputs = [_input(window) for window in windows]
        sound_s = sum(len(item.samples) for item in inputs) / SAMPLE_RATE_HZ
        cascade = self._decoder.first
        # The first call of everything is slower: not measured.
        cascade.decode_batch(inputs[:1])
        _, encoder_s = _timed(lambda: [self._decoder.asr.encode_window(item.samples) for item in inputs])
        first, first_s = _timed(lambda: [cascade.decode_batch([item])[0] for item in inputs])
        costs = [Cost("encoder", sound_s, encoder_s), Cost("first pass", sound_s, first_s)]
        requests = [self._decoder.request(item, output.turns) for item, output in zip(inputs, first, strict=True)]
        costs += [self._llm(requests, draft, sound_s) for draft in drafts]
        _, whole_s = _timed(lambda: [self._decoder.decode_batch([item]) for item in inputs])
        return [*costs, Cost("whole decoder", sound_s, whole_s)]

    def _llm(self, requests: Sequence[WindowRequest], draft: int, sound_s: float) -> Cost:
        before = self._passes
        written, seconds = _timed(lambda: [generate(self._decoder.model, [request], draft)[0] for request in requests])
        tokens = sum(len(answer.tokens) + answer.ended for answers in written for answer in answers)
        return Cost(f"LLM, {draft} guesses", sound_s, seconds, tokens, self._passes - before)


def _input(window: SimulatedWindow) -> DecoderInput:
    turns = tuple(DecoderTurn(turn.start, turn.end, turn.speaker) for turn in window.turns)
    return DecoderInput(window.samples, turns, "en")


def _timed(work: Callable[[], Made]) -> tuple[Made, float]:
    began = time.perf_counter()
    made = work()
    return made, time.perf_counter() - began


def render(costs: Sequence[Cost], device: str) -> str:
    """The costs as Markdown, with the most memory that the process has had."""
    lines = ["| stage | s per s of sound | tokens per s | tokens per pass |", "|---|---|---|---|"]
    for cost in costs:
        rate = f"{cost.tokens / cost.seconds:.0f}" if cost.tokens else "-"
        per_pass = f"{cost.tokens / cost.passes:.2f}" if cost.passes else "-"
        lines.append(f"| {cost.stage} | {cost.seconds / cost.sound_s:.3f} | {rate} | {per_pass} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    threads = torch.get_num_threads()
    lines += ["", f"{costs[0].sound_s:.0f} s of sound on {device}, {threads} threads; peak memory {peak:.0f} MiB"]
    return "\n".join(lines) + "\n"
