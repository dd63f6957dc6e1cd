"""Adapters of a model while it trains, by `peft`; taken out of it for a checkpoint, and put back for a further run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from models.errors import BadCheckpoint
from models.sot.config import LoraSettings

_NAME = "default"


def add_adapters(llm: PreTrainedModel, settings: LoraSettings) -> None:
    """Put trainable adapters (float32, B = 0) beside a model's linear layers, in place; the rest is frozen."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # declared an int, but any number will do
        lora_dropout=0.0,
        target_modules=list(settings.targets),
    )
    inject_adapter_in_model(config, llm, adapter_name=_NAME)
    # peft gives them the type of the model; bfloat16 would swallow the small steps of training.
    for pair in adapters_of(llm).values():
        for parameter in pair:
            parameter.data = parameter.data.float()


def adapters_of(llm: PreTrainedModel) -> dict[str, tuple[torch.nn.Parameter, torch.nn.Parameter]]:
    """(A, B) by the module's name in the plain model."""
    return {
        name: (_weight(module.lora_A[_NAME]), _weight(module.lora_B[_NAME]))
        for name, module in llm.named_modules()
        if isinstance(module, LoraLayer)
    }


def _weight(layer: torch.nn.Module) -> torch.nn.Parameter:
    weight = layer.weight
    if not isinstance(weight, torch.nn.Parameter):
        raise TypeError(f"an adapter's weight is a {type(weight).__name__}")
    return weight


@torch.no_grad()
def set_adapters(llm: PreTrainedModel, values: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Start from adapters that were trained before. Raises BadCheckpoint where they do not fit."""
    own = adapters_of(llm)
    if set(own) != set(values):
        raise BadCheckpoint(f"adapters do not fit the model: {sorted(set(own) ^ set(values))[:5]}")
    for name, pair in values.items():
        for parameter, value in zip(own[name], pair, strict=True):
            if parameter.shape != value.shape:
                raise BadCheckpoint(f"adapter of {name} is {tuple(value.shape)}, expected {tuple(parameter.shape)}")
            parameter.copy_(value)
