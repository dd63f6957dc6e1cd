"""Adapters beside a frozen LLM: what trains, in which type, and that they start as nothing."""

from __future__ import annotations

import pytest
import torch

from models.adapters.lora import adapters_of, set_adapters
from models.errors import BadCheckpoint
from models.training.setup import make_model
from tests.models.sot.test_modeling import window
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_llm, tiny_recipe


def test_only_adapters_and_what_is_ours_train() -> None:
    model = make_model(tiny_llm(), tiny_recipe(), ENCODER_WIDTH)
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert all("lora_" in name or not name.startswith("llm.") for name in trained)
    assert len([name for name in trained if "lora_" in name]) == 2 * len(adapters_of(model.llm)) == 2 * 2 * 7


@torch.no_grad()
def test_untrained_adapters_change_nothing() -> None:
    plain, ids = tiny_llm().model, torch.tensor([[1, 2, 3]])
    adapted = make_model(tiny_llm(), tiny_recipe(), ENCODER_WIDTH).llm
    torch.testing.assert_close(adapted(ids).logits, plain(ids).logits)


def test_a_half_precision_llm_has_adapters_in_float32_that_learn() -> None:
    llm = tiny_llm()
    llm.model.to(torch.bfloat16)
    model = make_model(llm, tiny_recipe(), ENCODER_WIDTH)
    assert all(value.dtype == torch.float32 for value in model.parameters() if value.requires_grad)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(window(model, 50, 1))
    loss.backward()
    gradients = [value.grad for value in model.parameters() if value.requires_grad]
    assert loss.dtype == torch.float32
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_adapters_that_do_not_fit_are_refused() -> None:
    llm = make_model(tiny_llm(), tiny_recipe(), ENCODER_WIDTH).llm
    values = {name: (first.clone(), second.clone()) for name, (first, second) in adapters_of(llm).items()}
    name = next(iter(values))
    with pytest.raises(BadCheckpoint, match=name.replace(".", r"\.")):
        set_adapters(llm, {key: value for key, value in values.items() if key != name})
    with pytest.raises(BadCheckpoint, match=name.replace(".", r"\.")):
        set_adapters(llm, values | {name: (values[name][0][:1], values[name][1])})
