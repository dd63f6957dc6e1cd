"""The forward pass: what the loss counts, what it does not depend on, and that it hears sound and speakers."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.sot.modeling import IGNORED, Sequences, SotModel
from models.sot.tokens import TurnPrompt, write_answer, write_prompt
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_config, tiny_llm


@pytest.fixture(scope="module")
def model() -> SotModel:
    llm = tiny_llm()
    torch.manual_seed(0)
    return SotModel(tiny_config(), llm.model).eval()


def window(model: SotModel, frames: int, seed: int) -> Sequences:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn((frames, ENCODER_WIDTH), generator=generator)
    activity = torch.rand((-(-frames // 4), model.config.slots), generator=generator)
    prompt = write_prompt(TurnPrompt(1, 0, 4, (104, 105)), model.layout)
    answer = write_answer((104, 106, 107 + seed), model.layout)
    labels = torch.tensor([IGNORED] * len(prompt) + answer)
    return Sequences([states], [activity], [torch.tensor(prompt + answer)], [labels])


def together(*parts: Sequences) -> Sequences:
    fields = [field.name for field in dataclasses.fields(Sequences)]
    return Sequences(*([item for part in parts for item in getattr(part, name)] for name in fields))


@torch.no_grad()
def test_a_batch_costs_what_its_windows_cost(model: SotModel) -> None:
    first, second = window(model, 50, 1), window(model, 23, 2)
    alone = model(first) + model(second)
    assert model(together(first, second)) == pytest.approx(float(alone), rel=1e-5)
    assert together(first, second).answers() == 8


@torch.no_grad()
def test_it_hears_sound_speakers_and_first_pass(model: SotModel) -> None:
    item = window(model, 50, 1)
    plain = float(model(item))
    silent = dataclasses.replace(item, states=[torch.zeros_like(item.states[0])])
    nobody = dataclasses.replace(item, activity=[torch.zeros_like(item.activity[0])])
    other = item.ids[0].clone()
    other[5] = 120
    assert all(
        abs(float(model(changed)) - plain) > 1e-4
        for changed in (silent, nobody, dataclasses.replace(item, ids=[other]))
    )


def test_gradients_reach_all_that_is_its_own(model: SotModel) -> None:
    model(window(model, 50, 1)).backward()
    own = {name: value.grad for name, value in model.named_parameters() if not name.startswith("llm.")}
    assert own
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in own.values())
    assert all(value.grad is None for value in model.llm.parameters())
    model.zero_grad(set_to_none=True)


@torch.no_grad()
def test_text_ids_are_embedded_by_the_llm(model: SotModel) -> None:
    ids = torch.tensor([3, 200])
    torch.testing.assert_close(model.embed(ids), model.llm.get_input_embeddings()(ids))
