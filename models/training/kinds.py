"""What the trainer asks of a model and of its examples, so that one loop trains every kind of model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from models.training.recipe import PerturbSettings


class Named(Protocol):
    """What an example is made from; its name stays the same from run to run."""

    @property
    def name(self) -> str:
        """Unique in its set."""


class Example(Protocol):
    """One example, as its set's `collate` takes it."""

    @property
    def labels(self) -> torch.Tensor:
        """Tokens to write; below 0 where none is."""

    @property
    def length(self) -> int:
        """How long it is, for batches of like length."""


class ExampleSet(Protocol):
    """Examples of one kind of model: one per window, or one per speaker of a window."""

    @property
    def windows(self) -> Sequence[Named]:
        """What the examples are made from."""

    def order(self, epoch: int) -> list[int]:
        """The places of an epoch, shuffled."""

    def make(self, index: int, epoch: int, perturb: PerturbSettings) -> Example:
        """Number `index` as it is in an epoch."""

    def collate(self, examples: Sequence[Any], device: str) -> Any:  # noqa: ANN401 - whatever the model's forward takes
        """Examples together, on a device."""


class TrainableModel(Protocol):
    """A module whose call gives the sum of the loss over a batch's labels; what needs a gradient is trained."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def precision(self) -> torch.dtype:
        """Of the weights that stay as they are; the trained ones are float32."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As every module's."""

    def train(self) -> Any:  # noqa: ANN401 - as every module's
        """As every module's."""

    def eval(self) -> Any:  # noqa: ANN401 - as every module's
        """As every module's."""

    def __call__(self, batch: Any) -> Any:  # noqa: ANN401 - what `ExampleSet.collate` made in, () float32 out
        """The loss."""
