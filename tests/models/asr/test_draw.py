"""models/asr/draw.py: chance that repeats itself, texts that agree, and clips that are left alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.asr.decoding import DecoderState, Row, Rules, hear, write
from models.asr.draw import Dice, Drawing, choose

PROMPT = [257, 258, 262, 266]
HEADS = {0: [1], 1: [0, 1]}


def rules(model):
    nothing = torch.zeros(model.config.vocab_size, dtype=torch.bool)
    return Rules(nothing, nothing, end=256)


def drawn(model, states, copies, temperature=1.0):
    with torch.inference_mode():
        state = DecoderState(model, hear(model, states), len(PROMPT) + 20, HEADS, copies)
        prompt = torch.tensor([PROMPT] * len(states) * copies)
        return write(model, state, prompt, [20] * len(states), rules(model), Dice(copies, temperature))


@pytest.fixture
def states(tiny_model):
    torch.manual_seed(0)
    return torch.randn(3, 50, tiny_model.config.d_model) * 3


def test_the_draws_of_a_clip_hang_on_the_clip_alone(tiny_model, states):
    together, again = drawn(tiny_model, states, 4), drawn(tiny_model, states, 4)
    assert [row.tokens for row in together] == [row.tokens for row in again]
    for clip in range(3):
        alone = drawn(tiny_model, states[clip : clip + 1], 4)
        assert [row.tokens for row in alone] == [row.tokens for row in together[4 * clip : 4 * clip + 4]]


def test_the_draws_of_a_clip_differ(tiny_model, states):
    rows = drawn(tiny_model, states, 4)
    assert len({tuple(row.tokens) for row in rows}) > 6


def test_several_rows_of_one_clip_are_what_one_row_is(tiny_model, states):
    """Rows that share a clip's sound see what a row of its own does: without chance all write the greedy text."""
    with torch.inference_mode():
        one = DecoderState(tiny_model, hear(tiny_model, states), len(PROMPT) + 20, HEADS)
        single = write(tiny_model, one, torch.tensor([PROMPT] * 3), [20, 9, 20], rules(tiny_model))
        many = DecoderState(tiny_model, hear(tiny_model, states), len(PROMPT) + 20, HEADS, 3)
        rows = write(tiny_model, many, torch.tensor([PROMPT] * 9), [20, 9, 20], rules(tiny_model))
    for number, row in enumerate(rows):
        wanted = single[number // 3]
        assert row.tokens == wanted.tokens
        assert row.ended == wanted.ended
        assert row.logprobs == pytest.approx(wanted.logprobs, abs=1e-4)
        for found, expected in zip(row.attention, wanted.attention, strict=True):
            assert torch.allclose(found, expected, atol=1e-5)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    """One step of many rows, each with chances of its own, at temperature 0.5."""
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0, -30.0])
    picked = Dice(20_000, 0.5)(logits.repeat(20_000, 1))
    shares = torch.bincount(picked, minlength=5) / 20_000
    assert torch.allclose(shares, (logits / 0.5).softmax(-1), atol=0.015)


def test_the_text_that_agrees_with_most_is_chosen():
    texts = ["we met at ten", "we met at noon", "We met, at noon.", "he left"]
    assert choose(texts, [-1.0] * 4, 0.3) == 1


def test_a_likely_text_outweighs_several_unlikely_ones():
    texts = ["yes indeed", "no", "no"]
    assert choose(texts, [-1.0, -3.0, -3.0], 0.0) == 1
    assert choose(texts, [-1.0, -30.0, -30.0], 0.3) == 0


@given(st.lists(st.tuples(st.text(" abc.", max_size=12), st.floats(-60, 0)), min_size=1, max_size=6))
def test_some_text_is_always_chosen_and_equal_ones_stay(candidates):
    texts, logprobs = [text for text, _ in candidates], [logprob for _, logprob in candidates]
    place = choose(texts, logprobs, 0.3)
    assert 0 <= place < len(texts)
    assert choose([texts[0]] * 3, [logprobs[0]] * 3, 0.3) == 0


def test_what_is_doubted():
    drawing = Drawing(4, doubt=-0.3)
    sure = [math.log(0.9)] * 3
    assert not drawing.doubts(Row([1, 2], sure, ended=True))
    assert drawing.doubts(Row([1, 2], [-0.1, -1.0, -0.1], ended=True))
    assert drawing.doubts(Row([1, 2, 3], sure, ended=False)), "what came to no end"
    assert not drawing.doubts(Row([], [-2.0], ended=True)), "silence is not talked over"
