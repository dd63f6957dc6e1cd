"""models/asr/decoding.py against transformers' own decoder, step by step and over a whole text."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.asr.decoding import DecoderState, Rules, goes_in_circles, hear, write

PROMPT = [257, 258, 262, 266]
HEADS = {0: [1], 1: [0, 1]}


@pytest.fixture
def states(tiny_model):
    torch.manual_seed(0)
    return torch.randn(3, 50, tiny_model.config.d_model) * 3


def rules(model, banned=(), banned_first=(), end=256):
    masks = []
    for ids in (banned, banned_first):
        mask = torch.zeros(model.config.vocab_size, dtype=torch.bool)
        mask[list(ids)] = True
        masks.append(mask)
    return Rules(*masks, end=end)


def written(model, states, limits, rule):
    with torch.inference_mode():
        state = DecoderState(model, hear(model, states), len(PROMPT) + max(limits), HEADS)
        return write(model, state, torch.tensor([PROMPT] * len(states)), limits, rule)


def reference(model, states, tokens):
    """Logits and cross-attention after every token, in one pass of transformers' decoder."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model.model.decoder(
            input_ids=torch.tensor([tokens]), encoder_hidden_states=states, output_attentions=True, use_cache=False
        )
        logits = model.proj_out(out.last_hidden_state)[0]
    return logits, out.cross_attentions


def test_writes_what_transformers_would(tiny_model, states):
    rule = rules(tiny_model, banned=[3], banned_first=[256])
    rows = written(tiny_model, states, [20, 20, 20], rule)
    for number, row in enumerate(rows):
        assert row.tokens
        logits, cross = reference(tiny_model, states[number : number + 1], PROMPT + row.tokens)
        logits[:, 3] = -torch.inf
        logits[len(PROMPT) - 1, 256] = -torch.inf
        logits = logits[len(PROMPT) - 1 :]
        steps = len(row.logprobs)
        expected = row.tokens + [256] * row.ended
        assert logits[:steps].argmax(dim=-1).tolist() == expected
        logprobs = logits[:steps].log_softmax(dim=-1)[range(steps), expected]
        torch.testing.assert_close(torch.tensor(row.logprobs), logprobs, atol=1e-4, rtol=1e-4)
        kept = torch.cat([cross[layer][0, heads] for layer, heads in HEADS.items()])[:, len(PROMPT) - 1 :]
        torch.testing.assert_close(torch.stack(row.attention), kept.transpose(0, 1)[:steps], atol=1e-5, rtol=1e-4)


def test_a_batch_writes_what_each_clip_writes_alone(tiny_model, states):
    limits = [3, 30, 11]
    together = written(tiny_model, states, limits, rules(tiny_model))
    for number, row in enumerate(together):
        (alone,) = written(tiny_model, states[number : number + 1], limits[number : number + 1], rules(tiny_model))
        assert alone.tokens == row.tokens
        assert alone.ended == row.ended
        assert alone.logprobs == pytest.approx(row.logprobs, abs=1e-4)
        assert len(row.tokens) <= limits[number]


def test_ends_at_the_end_mark(tiny_model, states):
    """Everything but the end is banned after the first token, which may not be it."""
    rule = rules(tiny_model, banned=[i for i in range(269) if i not in (256, 65)], banned_first=[256])
    for row in written(tiny_model, states, [9, 9, 9], rule):
        assert row.tokens[0] == 65
        assert len(row.logprobs) == len(row.attention) == len(row.tokens) + row.ended


def test_stops_at_the_limit_and_at_circles(tiny_model, states):
    rule = rules(tiny_model, banned=[i for i in range(269) if i != 65])
    short, long, _ = written(tiny_model, states, [5, 50, 50], rule)
    assert short.tokens == [65] * 5
    assert long.tokens == [65] * 24
    assert not short.ended
    assert not long.ended


@pytest.mark.parametrize(
    ("tokens", "circles"),
    [
        ([1] * 23, False),
        ([1] * 24, True),
        ([5, 6] + [1, 2, 3] * 8, True),
        ([1, 2, 3] * 7, False),
        (list(range(30)) * 4, True),
        (list(range(30)) * 3, False),
        (list(range(40)) * 5, False),
        ([], False),
    ],
)
def test_circles(tokens, circles):
    assert goes_in_circles(tokens) is circles


@given(st.lists(st.integers(0, 3), max_size=60))
def test_a_circle_is_one(tokens):
    if goes_in_circles(tokens):
        assert any(tokens[-24:][period:] == tokens[-24:][:-period] for period in range(1, 7)) or len(tokens) >= 28
