"""A run's folder: the state to go on from, the curves, and what the run is made from.

run.json      recipe and data; a resume with others is refused
state.pt      trainable weights, optimizer, step, best loss: written whole, then renamed
best.pt       trainable weights at the best validation loss
curves.csv    step, loss, rates, seconds
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from models.training.errors import RunInvalid
from models.training.recipe import Recipe

RUN_FILE, STATE_FILE, BEST_FILE, CURVES_FILE = "run.json", "state.pt", "best.pt", "curves.csv"
# What runs that began before a setting was there are taken to have.
_NEW: dict[str, dict[str, Any]] = {
    "perturb": {"drop_other": 0.0, "mask": 0.0, "speed": 0.0},
    "models": {"first_pass": "cascade"},
    "train": {"freeze": []},
}
COLUMNS = ("step", "loss", "validation_loss", "gradient_norm", "lr", "seconds")


def begin(folder: Path, recipe: Recipe, data: list[str]) -> None:
    """Start a run, or check that the folder's is the same.

    Args:
        data: names of the windows.

    Raises:
        RunInvalid: the folder holds a run of another recipe or other data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = json.loads(json.dumps({"recipe": dataclasses.asdict(recipe), "windows": data}))
    path = folder / RUN_FILE
    if not path.exists():
        _write(path, json.dumps(made) + "\n")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunInvalid(f"{path} cannot be read: {error}") from error
    if found["recipe"].get("kind", "sot") != made["recipe"]["kind"]:
        raise RunInvalid(f"{folder} holds a run of another kind; use another folder")
    for key in ("models", "projector", "lora", "perturb", "train"):
        if {**_NEW.get(key, {}), **found["recipe"].get(key, {})} != made["recipe"][key]:
            raise RunInvalid(f"{folder} holds a run with other settings of [{key}]; use another folder")
    if found["windows"] != data:
        raise RunInvalid(f"{folder} holds a run on other windows ({len(found['windows'])}, now {len(data)})")


def run_windows(folder: Path) -> list[str] | None:
    """Names of the windows that a run began with; None where no run is. A set may have grown since."""
    path = folder / RUN_FILE
    if not path.exists():
        return None
    try:
        names: list[str] = json.loads(path.read_text(encoding="utf-8"))["windows"]
    except (OSError, ValueError, KeyError) as error:
        raise RunInvalid(f"{path} cannot be read: {error!r}") from error
    return names


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read a state. Raises RunInvalid."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise RunInvalid(f"{path} is no state of a training run: {error}") from error
    if not isinstance(state, dict) or "step" not in state or "weights" not in state:
        raise RunInvalid(f"{path} is no state of a training run")
    return state


def add_row(folder: Path, row: dict[str, float | int | str]) -> None:
    """Add a row to the curves."""
    path = folder / CURVES_FILE
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, COLUMNS, restval="")
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def cut_rows(folder: Path, step: int) -> None:
    """Drop rows behind a step: they were computed after the state that a run resumes from."""
    rows = [row for row in read_rows(folder) if int(row["step"]) <= step]
    path = folder / CURVES_FILE
    if path.exists():
        path.unlink()
    for row in rows:
        add_row(folder, dict(row))


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The curves' rows."""
    path = folder / CURVES_FILE
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(source))


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
