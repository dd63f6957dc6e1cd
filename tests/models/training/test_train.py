"""Training on tiny random models: the loss falls, a stopped run goes on exactly, other runs are refused."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from models.training import runs
from models.training.errors import DataInvalid, RecipeInvalid, RunInvalid
from models.training.examples import UNDISTURBED
from models.training.recipe import PerturbSettings, Recipe
from models.training.setup import load_examples, make_model
from models.training.shards import PreparedTurn, PreparedWindow, write_description, write_shard
from models.training.train import Data, Trainer, rate_share
from tests.models.sot.tiny import ENCODER_WIDTH, MODELS, tiny_llm, tiny_recipe, write_set


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("train") / "set")


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("held-out") / "set", ("cem", "dee"), 2)


def trainer(recipe: Recipe, prepared: Path, folder: Path, held_out: Path | None = None) -> Trainer:
    llm = tiny_llm()
    model = make_model(llm, recipe, ENCODER_WIDTH)
    train = load_examples(prepared, model, llm, recipe.train.seed, runs.run_windows(folder))
    other = load_examples(held_out, model, llm, 0) if held_out else None
    return Trainer(model, Data(train, other), recipe, folder)


def quiet(_: str) -> None:
    """No report."""


def test_the_loss_falls(prepared: Path, held_out: Path, tmp_path: Path) -> None:
    run = trainer(tiny_recipe(steps=30), prepared, tmp_path, held_out)
    lines: list[str] = []
    run.run(lines.append)
    rows = runs.read_rows(tmp_path)
    losses = [float(row["loss"]) for row in rows]
    assert len(rows) == 30
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    validations = [float(row["validation_loss"]) for row in rows if row["validation_loss"]]
    assert len(validations) == 5
    assert validations[-1] < validations[0]
    assert "left" in lines[-1]
    assert runs.load_state(tmp_path / runs.BEST_FILE)["step"] in (6, 12, 18, 24, 30)


def test_a_stopped_run_goes_on_exactly(prepared: Path, held_out: Path, tmp_path: Path) -> None:
    whole = trainer(tiny_recipe(), prepared, tmp_path / "whole", held_out)
    whole.run(quiet)
    stopped = trainer(tiny_recipe(), prepared, tmp_path / "parts", held_out)
    stopped.run(quiet, until=7)
    again = trainer(tiny_recipe(), prepared, tmp_path / "parts", held_out)
    assert again.resume()
    assert again.step == 7
    again.run(quiet)
    first, second = (runs.load_state(tmp_path / name / runs.STATE_FILE) for name in ("whole", "parts"))
    assert first["step"] == second["step"] == 12
    assert first["best"] == second["best"]
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
    for number, state in first["optimizer"]["state"].items():
        assert torch.equal(state["exp_avg_sq"], second["optimizer"]["state"][number]["exp_avg_sq"])
    same = ("step", "loss", "validation_loss", "lr")
    left, right = (runs.read_rows(tmp_path / name) for name in ("whole", "parts"))
    assert [[row[key] for key in same] for row in left] == [[row[key] for key in same] for row in right]


def test_a_killed_runs_later_rows_are_dropped(prepared: Path, tmp_path: Path) -> None:
    run = trainer(tiny_recipe(), prepared, tmp_path)
    run.run(quiet, until=4)
    runs.add_row(tmp_path, {"step": 5, "loss": 9.9})
    again = trainer(tiny_recipe(), prepared, tmp_path)
    again.resume()
    assert [row["step"] for row in runs.read_rows(tmp_path)] == ["1", "2", "3", "4"]


def test_micro_batches_change_nothing(prepared: Path, tmp_path: Path) -> None:
    losses = []
    for size in (1, 2):
        run = trainer(tiny_recipe(micro_batch=size), prepared, tmp_path / str(size))
        run.run(quiet, until=3)
        losses.append([float(row["loss"]) for row in runs.read_rows(tmp_path / str(size))])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_patience_ends_a_run(prepared: Path, held_out: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(validate_every=1, patience=2, lr=0.0, lora_lr=0.0)
    run = trainer(recipe, prepared, tmp_path, held_out)
    run.run(quiet)
    assert run.step == 3


def test_other_settings_are_refused(prepared: Path, tmp_path: Path) -> None:
    trainer(tiny_recipe(), prepared, tmp_path)
    other = dataclasses.replace(tiny_recipe(), perturb=PerturbSettings(drop_text=0.9))
    with pytest.raises(RunInvalid, match="perturb"):
        trainer(other, prepared, tmp_path)


def test_a_run_keeps_its_windows_where_the_set_grows(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", count=3)
    first = trainer(tiny_recipe(), folder, tmp_path / "run")
    (folder / "00000.jsonl").unlink()
    write_set(folder, count=5)
    again = trainer(tiny_recipe(), folder, tmp_path / "run")
    assert [w.name for w in again._data.train.windows] == [w.name for w in first._data.train.windows]
    (folder / "00000.jsonl").unlink()
    write_set(folder, count=2)
    with pytest.raises(DataInvalid, match="ann-2"):
        trainer(tiny_recipe(), folder, tmp_path / "run")


def test_a_damaged_state_is_named(prepared: Path, tmp_path: Path) -> None:
    run = trainer(tiny_recipe(), prepared, tmp_path)
    (tmp_path / runs.STATE_FILE).write_bytes(b"half a state")
    with pytest.raises(RunInvalid, match=runs.STATE_FILE):
        run.resume()


def test_rates_rise_and_fall() -> None:
    settings = tiny_recipe(steps=20, warmup=4).train
    shares = [rate_share(step, settings) for step in range(20)]
    assert shares[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert shares[4:] == sorted(shares[4:], reverse=True)
    assert rate_share(20, settings) == pytest.approx(settings.floor)


def test_it_learns_to_listen(tmp_path: Path) -> None:
    """Where only the sound tells the answers apart, they are told apart, and not without it."""
    folder = tmp_path / "set"
    write_description(folder, {"encoder": MODELS.encoder})
    pattern = torch.randn((50, ENCODER_WIDTH), generator=torch.Generator().manual_seed(2))
    windows = [
        PreparedWindow(text, "x", 16_000, ("ann",), (PreparedTurn(0, 16_000, 0, text, "", 0.0),), folder)
        for text in ("Aaaa.", "Bbbb.")
    ]
    silence = np.zeros(16_000, np.float32)
    write_shard(folder, 0, windows, [pattern, pattern.roll(10, 0)], [silence, silence])
    recipe = dataclasses.replace(tiny_recipe(steps=200, validate_every=200), perturb=UNDISTURBED)
    run = trainer(recipe, folder, tmp_path / "run", folder)
    run.run(quiet)
    rows = runs.read_rows(tmp_path / "run")
    # No model that is deaf can go below this: two windows alike but for their sound, ln 2 each over 7 tokens.
    floor = math.log(2) / 7
    assert float(rows[-1]["validation_loss"]) < 0.75 * floor
    deaf = dataclasses.replace(recipe, perturb=dataclasses.replace(UNDISTURBED, drop_sound=1.0))
    run = trainer(deaf, folder, tmp_path / "deaf")
    run.run(quiet)
    assert float(runs.read_rows(tmp_path / "deaf")[-1]["loss"]) > 0.999 * floor


def test_frozen_parts_stay_and_are_saved(prepared: Path, tmp_path: Path) -> None:
    run = trainer(tiny_recipe(steps=3, freeze=("projector",)), prepared, tmp_path)
    before = {name: value.clone() for name, value in run._copy().items()}
    run.run(quiet)
    saved = runs.load_state(tmp_path / runs.STATE_FILE)["weights"]
    moved = {name for name, value in saved.items() if not torch.equal(value, before[name])}
    assert set(saved) == set(before)
    assert any(name.startswith("projector.") for name in before)
    assert moved
    assert not any(name.startswith("projector.") for name in moved)


@pytest.mark.parametrize(("parts", "message"), [(("project",), "project"), (("projector", "llm", "marks"), ".")])
def test_what_cannot_be_frozen_is_named(parts: tuple[str, ...], message: str, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match=message):
        trainer(tiny_recipe(freeze=parts), prepared, tmp_path)
