"""The cost table: every stage is there, and the LLM writes the same number of tokens however many are guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.asr.whisper import AsrResult
from models.asr.words import AsrWord
from models.decoders.cascade import CascadeDecoder
from models.decoders.sot import SotDecoder, SotRules
from models.training.cost import CostMeter, render
from models.training.setup import make_model
from models.training.windows import SimulatedWindow, WindowTurn
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_asr, tiny_llm, tiny_recipe


def test_all_stages_are_measured(tmp_path: Path) -> None:
    asr, llm = tiny_asr(tmp_path), tiny_llm()
    heard = AsrResult("one", "en", (), (), -0.2, 0.0, 1.0, False, (AsrWord(" one", 0.1, 0.5, 0.9),))
    asr.transcribe = lambda clips, **_: [heard for _ in clips]  # type: ignore[method-assign]
    model = make_model(llm, tiny_recipe(), ENCODER_WIDTH).requires_grad_(False).eval()
    decoder = SotDecoder(asr, model, llm.tokenizer, CascadeDecoder(asr), SotRules(tokens_per_s=2, spare_tokens=3))
    turns = (WindowTurn(0, 16_000, 0, "one", 0.5), WindowTurn(8_000, 24_000, 1, "two", 0.5))
    samples = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    costs = CostMeter(decoder).run([SimulatedWindow("w", "g", samples, ("a", "b"), turns)])
    assert [cost.stage for cost in costs] == [
        "encoder",
        "first pass",
        "LLM, 0 guesses",
        "LLM, 8 guesses",
        "whole decoder",
    ]
    plain, guessed = costs[2:4]
    assert plain.tokens == guessed.tokens > 0
    assert guessed.passes <= plain.passes
    assert render(costs, "cpu").count("\n") == 9
