"""Checkpoints of one target-speaker model, of the same start, in one: the mean of their weights.

Such a mean errs less on what none of them has seen than each alone (model soups, Wortsman et al., arXiv 2203.05482).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from models.errors import BadCheckpoint
from models.target.checkpoint import read_config, read_weights, save
from models.target.modeling import Conditioning
from models.training.errors import RecipeInvalid


def average(folders: Sequence[Path], shares: Sequence[float], out: Path) -> None:
    """Write the weighted mean of checkpoints.

    Args:
        shares: weight of each checkpoint; they are taken relative to their sum. none given = all alike.

    Raises:
        RecipeInvalid: the shares are not one positive number for each checkpoint.
        BadCheckpoint: one cannot be read, or is of another model than the first.
    """
    weights = list(shares) or [1.0] * len(folders)
    if len(weights) != len(folders) or min(weights) <= 0:
        raise RecipeInvalid(f"there must be one share above 0 for each of {len(folders)} checkpoints, found {weights}")
    config = read_config(folders[0])
    read = []
    for folder in folders:
        if read_config(folder) != config:
            raise BadCheckpoint(f"{folder} is of another model than {folders[0]}")
        read.append(read_weights(folder, config))
        if read[-1][1].keys() != read[0][1].keys():
            raise BadCheckpoint(f"{folder} has adapters of other layers than {folders[0]}")
    parts = [weight / sum(weights) for weight in weights]

    def mean(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        total = torch.zeros_like(tensors[0])
        for part, tensor in zip(parts, tensors, strict=True):
            total += part * tensor
        return total

    maps = Conditioning(config.layers, config.width)
    states = [own.state_dict() for own, _ in read]
    maps.load_state_dict({name: mean([state[name] for state in states]) for name in states[0]})
    adapters = {
        name: (mean([own[name][0] for _, own in read]), mean([own[name][1] for _, own in read])) for name in read[0][1]
    }
    save(out, config, maps, adapters)
