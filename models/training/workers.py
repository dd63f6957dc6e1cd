"""Several processes that train one model: each computes its share of every batch, gradients are summed, the first one
writes the files. `torchrun --nproc-per-node N -m models.training train ...`; one process alone needs none of it.

The sum over the shares is the gradient of the whole batch, so that a run is the same on any number of processes but for
rounding. Processes find each other by torchrun's environment variables (torch.distributed).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Workers:
    """rank: this process's number; size: how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of the items."""
        return items[self.rank :: self.size]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()

    def total(self, values: Sequence[float], device: str) -> list[float]:
        """Sums over all processes."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(summed)
        return [float(value) for value in summed]

    def sum_gradients(self, weights: Iterable[torch.nn.Parameter]) -> None:
        """Make every weight's gradient the sum over all processes; one that had no example counts as zero."""
        if self.size == 1:
            return
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            distributed.all_reduce(weight.grad)


@contextmanager
def joined(device: str) -> Iterator[tuple[Workers, str]]:
    """This process among those that torchrun started, and its device: of several GPUs each process has its own."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Workers(), device
        return
    own = f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device
    distributed.init_process_group("gloo" if own == "cpu" else "nccl")
    try:
        yield Workers(distributed.get_rank(), size), own
    finally:
        distributed.destroy_process_group()
