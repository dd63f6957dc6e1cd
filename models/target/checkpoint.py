"""A trained target-speaker model on disk: `config.json` and `model.safetensors` with its maps and adapters.

The adapters (LoRA, Hu et al., arXiv 2106.09685) are added to the weights of the Whisper that the checkpoint names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import WhisperForConditionalGeneration

from models.errors import BadCheckpoint
from models.target.modeling import Conditioning

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_MAPS, _ADAPTERS = "maps.", "lora."


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """encoder: the Whisper by name or folder; layers, width: of its encoder; rank, alpha: of the adapters.

    language: code of the only one that it was trained on.
    """

    encoder: str
    layers: int
    width: int
    rank: int
    alpha: float
    language: str = "en"
    format: int = 1


Adapters = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""(A: (rank, in), B: (out, rank)) by the name of the linear layer."""


def save(folder: Path, config: TargetConfig, maps: Conditioning, adapters: Adapters) -> None:
    """Write a checkpoint in float16; the configuration last, so that a half-written one cannot be read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    tensors = {_MAPS + name: value for name, value in maps.state_dict().items()}
    for name, (a, b) in adapters.items():
        tensors[f"{_ADAPTERS}{name}.a"], tensors[f"{_ADAPTERS}{name}.b"] = a, b
    save_file(
        {name: value.detach().half().contiguous().cpu() for name, value in tensors.items()}, folder / WEIGHTS_FILE
    )
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")


def read_config(folder: Path) -> TargetConfig:
    """Raises BadCheckpoint, naming the file and what is wrong with it."""
    path = folder / CONFIG_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or set(values) != {field.name for field in fields(TargetConfig)}:
            raise ValueError("its keys are not those of a target-speaker model")
        for field in fields(TargetConfig):
            if type(values[field.name]).__name__ not in (field.type, "int" if field.type == "float" else field.type):
                raise ValueError(f"{field.name} must be {field.type}, found {values[field.name]!r}")
        config = TargetConfig(**values)
    except (OSError, ValueError, TypeError) as error:
        raise BadCheckpoint(f"{path} cannot be read: {error}") from error
    if config.format != 1:
        raise BadCheckpoint(f"{path} has format {config.format}, known is 1")
    return config


def read_weights(
    folder: Path, config: TargetConfig
) -> tuple[Conditioning, dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """The maps and the adapters, in float32. Raises BadCheckpoint where they do not fit the configuration."""
    path = folder / WEIGHTS_FILE
    try:
        tensors = {name: value.float() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise BadCheckpoint(f"{path} cannot be read: {error}") from error
    maps = Conditioning(config.layers, config.width)
    try:
        maps.load_state_dict({k.removeprefix(_MAPS): v for k, v in tensors.items() if k.startswith(_MAPS)})
    except RuntimeError as error:
        raise BadCheckpoint(f"{path}: the maps do not fit {config.layers} layers of {config.width}: {error}") from error
    maps.requires_grad_(False)
    names = sorted({name[len(_ADAPTERS) : -2] for name in tensors if name.startswith(_ADAPTERS)})
    try:
        return maps, {name: (tensors[f"{_ADAPTERS}{name}.a"], tensors[f"{_ADAPTERS}{name}.b"]) for name in names}
    except KeyError as error:
        raise BadCheckpoint(f"{path} lacks {error}") from error


@torch.no_grad()
def merge(model: WhisperForConditionalGeneration, adapters: Adapters, scale: float) -> None:
    """Add the adapters to a model's linear layers, in place. Raises BadCheckpoint where one does not fit."""
    for name, (a, b) in adapters.items():
        try:
            weight = model.get_submodule(name).weight
        except AttributeError:
            raise BadCheckpoint(f"an adapter is of {name}, which the model does not have") from None
        if not isinstance(weight, torch.Tensor) or weight.shape != (b.shape[0], a.shape[1]):
            raise BadCheckpoint(f"the adapter of {name} does not fit a Whisper of this size")
        weight += (scale * (b @ a)).to(device=weight.device, dtype=weight.dtype)
