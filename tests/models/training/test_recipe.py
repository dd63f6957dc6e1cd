"""Recipes: the shipped ones are read, unknown keys and wrong values are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.training.errors import RecipeInvalid
from models.training.recipe import load_recipe, recipe_from

SHIPPED = sorted((Path(__file__).parents[3] / "models" / "training" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_whole(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.prepare.groups or recipe.kind == "target"  # which learns on the windows of another
    assert all(group.settings(1).num_meetings == group.windows for group in recipe.prepare.groups)


def test_there_are_shipped_recipes() -> None:
    assert {path.stem for path in SHIPPED} >= {"base", "held-out"}


def test_values_arrive() -> None:
    recipe = recipe_from({"name": "x", "train": {"lr": 1}, "lora": {"targets": ["q_proj"]}})
    assert recipe.train.lr == 1.0
    assert recipe.lora.targets == ("q_proj",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "unknown key.*colour"),
        ({"train": {"stepz": 1}}, "train: unknown key.*stepz"),
        ({"train": {"steps": "many"}}, r"train\.steps must be int"),
        ({"train": {"steps": True}}, r"train\.steps must be int"),
        ({"train": {"steps": 0}}, r"train\.steps must be 1 or more"),
        ({"train": {"batch": 4, "micro_batch": 3}}, "multiple"),
        ({"perturb": {"drop_text": 1.5}}, r"perturb\.drop_text is a probability"),
        ({"perturb": {"speed": 0.9}}, r"perturb\.speed is a share of the speed"),
        ({"lora": {"targets": "q_proj"}}, r"lora\.targets"),
        ({"train": 3}, "train must be a table"),
        ({"name": ""}, "'name'"),
        ({"prepare": {"groups": [{"name": "a", "windows": 3}]}}, r"groups\[0\]: missing manifest"),
        ({"prepare": {"groups": [{"name": "a", "manifest": "m", "windows": 0}]}}, "windows must be 1"),
        ({"prepare": {"groups": [{"name": "a", "manifest": "m", "windows": 1}] * 2}}, "same name"),
        ({"prepare": {"groups": {}}}, "list of tables"),
    ],
)
def test_what_does_not_belong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeInvalid, match=message):
        recipe_from({"name": "x", **values})


def test_text_that_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("= 3")
    with pytest.raises(RecipeInvalid, match=r"bad\.toml"):
        load_recipe(path)
