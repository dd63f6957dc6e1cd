"""Training: examples in, weights out. What learns is float32, what stays as it is float32 or bfloat16.

The step number decides batches, disturbances and rates, so a state of (weights, optimizer, step) resumes exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.training import runs
from models.training.errors import RecipeInvalid, RunInvalid
from models.training.examples import UNDISTURBED
from models.training.kinds import Example, ExampleSet, TrainableModel
from models.training.recipe import Recipe, TrainSettings
from models.training.workers import Workers

Report = Callable[[str], None]
_LORA = "lora_"


@dataclass(frozen=True, slots=True)
class Data:
    """Windows to learn from, and held-out ones (of other speakers); no held-out ones, no validation."""

    train: ExampleSet
    held_out: ExampleSet | None


class Trainer:
    """One run in one folder."""

    def __init__(
        self, model: TrainableModel, data: Data, recipe: Recipe, folder: Path, workers: Workers | None = None
    ) -> None:
        """The model's trainable weights are those that need gradients; it is on its device already."""
        self.model = model
        self.step = 0
        self.best = math.inf
        self.bad_validations = 0
        self._data = data
        self._recipe = recipe
        self._settings = recipe.train
        self._folder = folder
        self._device = str(model.device)
        self._workers = workers = workers or Workers()
        self._weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self._learning = freeze(self._weights, self._settings.freeze)
        self._optimizer = make_optimizer(self._learning, self._settings)
        names = [window.name for window in data.train.windows]
        if workers.first:
            runs.begin(folder, recipe, names)
        workers.wait()
        if not workers.first:
            runs.begin(folder, recipe, names)

    def resume(self) -> bool:
        """Go on where the folder's run was left; False where it has no state yet. Raises RunInvalid."""
        path = self._folder / runs.STATE_FILE
        if not path.exists():
            self._cut_rows(0)
            return False
        state = runs.load_state(path)
        load_weights(self._weights, state["weights"], str(path))
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]
        self.bad_validations = state["bad_validations"]
        self._cut_rows(self.step)
        return True

    def _cut_rows(self, step: int) -> None:
        if self._workers.first:
            runs.cut_rows(self._folder, step)

    def save(self) -> None:
        """Write the state to go on from; of several processes the first does."""
        if not self._workers.first:
            return
        state = {
            "step": self.step,
            "best": self.best,
            "bad_validations": self.bad_validations,
            "weights": self._copy(),
            "optimizer": self._optimizer.state_dict(),
        }
        runs.save_state(self._folder / runs.STATE_FILE, state)

    def run(self, report: Report, until: int | None = None) -> None:
        """Train to the last step of the recipe, or to step `until`, saving on the way."""
        last = min(self._settings.steps, until or self._settings.steps)
        begun, first = time.monotonic(), self.step
        while self.step < last and not self._stopped():
            row = self._train_step()
            due = self.step % self._settings.validate_every == 0 or self.step == self._settings.steps
            if due and self._data.held_out is not None:
                row["validation_loss"] = self._validate(self._data.held_out)
            if self._workers.first:
                runs.add_row(self._folder, row)
            spent = time.monotonic() - begun
            left = spent / (self.step - first) * (last - self.step)
            if self._workers.first:
                report(f"step {self.step}/{last} {_shown(row)} {spent / 60:.0f} min, {left / 60:.0f} min left")
            if self.step % self._settings.save_every == 0 or self.step == last:
                self.save()

    def _stopped(self) -> bool:
        return 0 < self._settings.patience <= self.bad_validations

    def _train_step(self) -> dict[str, Any]:
        settings, began = self._settings, time.monotonic()
        share = rate_share(self.step, settings)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * share
        examples = self._batch()
        own = float(sum(int((item.labels >= 0).sum()) for item in examples))
        answers = self._workers.total([own], self._device)[0]
        total = 0.0
        self.model.train()
        self._optimizer.zero_grad(set_to_none=True)
        for begin in range(0, len(examples), settings.micro_batch):
            loss = self._loss(examples[begin : begin + settings.micro_batch]) / max(1, answers)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        self._workers.sum_gradients(self._learning.values())
        total = self._workers.total([total], self._device)[0]
        norm = nn.utils.clip_grad_norm_(list(self._learning.values()), settings.clip)
        self._optimizer.step()
        self.step += 1
        seconds = round(time.monotonic() - began, 2)
        rates = {"gradient_norm": round(float(norm), 4), "lr": round(settings.lr * share, 8)}
        return {"step": self.step, "loss": round(total, 5), "seconds": seconds, **rates}

    def _batch(self) -> list[Example]:
        """This process's examples of this step; similar lengths share a micro-batch."""
        made = []
        places = range(self.step * self._settings.batch, (self.step + 1) * self._settings.batch)
        for place in self._workers.share(places):
            epoch, number = divmod(place, len(self._data.train.windows))
            index = self._data.train.order(epoch)[number]
            made.append(self._data.train.make(index, epoch, self._recipe.perturb))
        return sorted(made, key=lambda item: item.length)

    def _loss(self, examples: Sequence[Example]) -> torch.Tensor:
        batch = self._data.train.collate(examples, self._device)
        kind = torch.device(self._device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.model.precision == torch.bfloat16):
            loss: torch.Tensor = self.model(batch)
        return loss

    @torch.no_grad()
    def _validate(self, held_out: ExampleSet) -> float:
        """Mean loss per answer token of held-out windows, undisturbed; keeps the best weights."""
        self.model.eval()
        total, answers = 0.0, 0
        count = min(len(held_out.windows), self._settings.validate_windows)
        for index in self._workers.share(range(count)):
            example = held_out.make(index, 0, UNDISTURBED)
            total += float(self._loss([example]))
            answers += int((example.labels >= 0).sum())
        total, seen = self._workers.total([total, float(answers)], self._device)
        loss = total / max(1.0, seen)
        self.bad_validations = 0 if loss < self.best else self.bad_validations + 1
        if loss < self.best:
            self.best = loss
            if self._workers.first:
                runs.save_state(self._folder / runs.BEST_FILE, {"step": self.step, "weights": self._copy()})
        return round(loss, 5)

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self._weights.items()}


def freeze(weights: dict[str, nn.Parameter], parts: Sequence[str]) -> dict[str, nn.Parameter]:
    """Leave parts of a model as they are: no gradients for their weights. What is frozen is saved all the same.

    Args:
        weights: what a model of its kind can learn, by name.
        parts: beginnings of names, whole between dots: `whisper.model.decoder`.

    Returns:
        The weights that go on learning.

    Raises:
        RecipeInvalid: a part names no weights, or nothing is left to learn.
    """
    frozen = {name for part in parts for name in weights if f"{name}.".startswith(f"{part}.")}
    odd = [part for part in parts if not any(f"{name}.".startswith(f"{part}.") for name in weights)]
    if odd:
        raise RecipeInvalid(f"train.freeze: no weights are called {', '.join(odd)}")
    if len(frozen) == len(weights):
        raise RecipeInvalid("train.freeze leaves nothing to learn")
    for name in frozen:
        weights[name].requires_grad_(False)
    return {name: value for name, value in weights.items() if name not in frozen}


def make_optimizer(weights: dict[str, nn.Parameter], settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with one rate for adapters and one for the rest; decay on matrices of the rest only."""
    adapters = [value for name, value in weights.items() if _LORA in name]
    plain = [value for name, value in weights.items() if _LORA not in name and value.ndim < 2]
    matrices = [value for name, value in weights.items() if _LORA not in name and value.ndim >= 2]
    groups = [
        {"params": adapters, "lr": settings.lora_lr, "peak": settings.lora_lr, "weight_decay": 0.0},
        {"params": plain, "lr": settings.lr, "peak": settings.lr, "weight_decay": 0.0},
        {"params": matrices, "lr": settings.lr, "peak": settings.lr, "weight_decay": settings.weight_decay},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98))


def rate_share(step: int, settings: TrainSettings) -> float:
    """Share of the peak rate at a step (from 0): linear warm-up, then half a cosine down to the floor."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.floor + (1 - settings.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@torch.no_grad()
def load_weights(weights: dict[str, nn.Parameter], saved: dict[str, torch.Tensor], name: str) -> None:
    """Fill trainable weights from a state. Raises RunInvalid naming what does not fit."""
    odd = sorted(set(weights) ^ set(saved))
    if odd:
        raise RunInvalid(f"{name} has other weights than the model: {', '.join(odd[:5])}")
    for key, value in saved.items():
        if value.shape != weights[key].shape:
            raise RunInvalid(f"{name}: {key} is {tuple(value.shape)}, expected {tuple(weights[key].shape)}")
        weights[key].copy_(value)


def _shown(row: dict[str, Any]) -> str:
    shown = f"loss {row['loss']:.3f} ({row['seconds']:.1f} s)"
    return shown + (f" held-out {row['validation_loss']:.3f}" if "validation_loss" in row else "")
