"""A recipe for a tiny target-speaker model."""

from __future__ import annotations

from models.training.recipe import Recipe, recipe_from

RECIPE: Recipe = recipe_from(
    {
        "name": "tiny-target",
        "kind": "target",
        "lora": {"rank": 2, "alpha": 4.0, "targets": ["q_proj", "v_proj", "fc1"]},
        "perturb": {"drop_other": 0.1},
        "train": {"steps": 12, "batch": 4, "micro_batch": 2, "lr": 1e-2, "lora_lr": 1e-2, "warmup": 2, "save_every": 4},
    }
)
