"""Errors of preparing, training and evaluating, each with a stable `code`; the message names what is wrong."""

from __future__ import annotations

from typing import ClassVar

from models.errors import ModelError


class TrainingError(ModelError):
    """Base of all errors of this package. One argument: the message."""

    code: ClassVar[str] = "training_failed"


class RecipeInvalid(TrainingError):
    """A recipe cannot be read, has an unknown key, or a value of the wrong kind or outside its limits."""

    code: ClassVar[str] = "recipe_invalid"


class DataInvalid(TrainingError):
    """A prepared set is missing, incomplete, damaged, or was made for another encoder or recipe."""

    code: ClassVar[str] = "training_data_invalid"


class RunInvalid(TrainingError):
    """A training run's folder cannot be resumed: no state, a damaged one, or one of another recipe."""

    code: ClassVar[str] = "training_run_invalid"
