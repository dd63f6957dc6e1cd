"""Examples: what is disturbed, what is not, and that an epoch is the same each time."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.sot.modeling import IGNORED, SotModel
from models.sot.tokens import parse
from models.training.examples import UNDISTURBED, Examples
from models.training.recipe import PerturbSettings
from models.training.setup import load_examples, make_model
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_llm, tiny_recipe, write_set


@pytest.fixture(scope="module")
def model() -> SotModel:
    return make_model(tiny_llm(), tiny_recipe(), ENCODER_WIDTH)


@pytest.fixture(scope="module")
def examples(model: SotModel, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return load_examples(write_set(tmp_path_factory.mktemp("set")), model, tiny_llm(), 3)


def text(tokens: tuple[int, ...]) -> str:
    return str(tiny_llm().tokenizer.decode(list(tokens)))


def test_an_undisturbed_window_says_what_is_known(model: SotModel, examples: Examples) -> None:
    example = examples.make(1, 0, UNDISTURBED)
    (first, answer), (second, other) = parse(example.ids.tolist(), model.layout)
    assert (first.slot, first.start, first.end, second.slot, second.start, second.end) == (0, 0, 13, 1, 10, 25)
    assert (text(first.first_pass or ()), second.first_pass) == (" Yes 1.", ())
    assert (text(answer), text(other)) == (" Yes 1.", " No.")
    assert example.activity.shape == (25, model.config.slots)
    assert example.activity[:, 0].sum() == pytest.approx(12.5)
    counted = [int(i) for i in example.labels if i != IGNORED]
    assert counted == [*answer, model.layout.end_token, *other, model.layout.end_token]


def test_an_epoch_is_always_the_same(examples: Examples) -> None:
    for epoch in range(3):
        assert sorted(examples.order(epoch)) == [0, 1, 2, 3]
        first, second = (examples.make(2, epoch, PerturbSettings()) for _ in range(2))
        assert torch.equal(first.ids, second.ids)
        assert torch.equal(first.activity, second.activity)


@pytest.mark.parametrize(
    ("name", "differs"),
    [("drop_text", True), ("swap_text", True), ("skip_turn", True), ("wrong_speaker", True), ("jitter_samples", True)],
)
def test_each_disturbance_shows_in_the_prompt(examples: Examples, name: str, differs: bool) -> None:
    strong = 4000.0 if name == "jitter_samples" else 1.0
    disturbed = dataclasses.replace(UNDISTURBED, **{name: strong})
    calm = dataclasses.replace(UNDISTURBED)
    changed = [
        not torch.equal(examples.make(1, epoch, disturbed).ids, examples.make(1, epoch, calm).ids)
        for epoch in range(12)
    ]
    assert any(changed) == differs


def test_sound_and_activity_can_be_dropped(examples: Examples) -> None:
    deaf = examples.make(0, 0, dataclasses.replace(UNDISTURBED, drop_sound=1.0, drop_activity=1.0))
    assert not deaf.states.any()
    assert not deaf.activity.any()


def test_a_window_with_no_turn_left_still_counts_nothing(model: SotModel, examples: Examples) -> None:
    empty = examples.make(0, 0, dataclasses.replace(UNDISTURBED, skip_turn=1.0))
    assert empty.ids.shape == (0,)
    assert empty.ids.dtype == torch.long
