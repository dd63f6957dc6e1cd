"""models/asr/quantize.py: the 8-bit layer is near the float32 one, and takes every linear layer's place."""

from __future__ import annotations

import pytest
import torch

from models.asr.quantize import Int8Linear, quantize_linears


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 64), (2, 30, 64), (64,)])
def test_near_the_float_layer(shape, bias):
    torch.manual_seed(1)
    linear = torch.nn.Linear(64, 48, bias=bias)
    values = torch.randn(*shape) * 3
    with torch.inference_mode():
        expected, found = linear(values), Int8Linear(linear)(values)
    assert found.shape == expected.shape
    assert ((found - expected).norm() / expected.norm()).item() < 0.02


def test_each_position_has_its_own_scale():
    """A loud position does not drown a quiet one."""
    linear = torch.nn.Linear(64, 48, bias=False)
    values = torch.randn(2, 64) * torch.tensor([[1000.0], [0.001]])
    with torch.inference_mode():
        expected, found = linear(values), Int8Linear(linear)(values)
    assert ((found[1] - expected[1]).norm() / expected[1].norm()).item() < 0.02


def test_silence_stays_silence():
    with torch.inference_mode():
        assert torch.equal(Int8Linear(torch.nn.Linear(8, 8, bias=False))(torch.zeros(2, 8)), torch.zeros(2, 8))


def test_replaces_every_linear_layer_but_keeps_the_embeddings(tiny_model):
    embeddings = tiny_model.model.decoder.embed_tokens.weight
    model = quantize_linears(tiny_model)
    kinds = [type(module) for module in model.modules()]
    assert torch.nn.Linear not in kinds
    assert kinds.count(Int8Linear) == 2 * 6 + 2 * 10 + 1
    assert model.model.decoder.embed_tokens.weight is embeddings
