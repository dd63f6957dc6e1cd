"""A SOT checkpoint on disk: `config.json` and `model.safetensors` (projector, embeddings, adapters of the LLM).

The LLM itself is not in it; the adapters are added into its weights at loading (W + alpha / rank * B A), so that
decoding costs what the plain LLM costs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from models.errors import BadCheckpoint
from models.sot.config import SotConfig, config_from_json
from models.sot.modeling import SotModel

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_OWN = ("projector.", "slots.", "symbols.", "time.")
_LORA = "lora."

Adapters = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""By the LLM's module name: A (rank, in) and B (out, rank)."""


def save_checkpoint(folder: Path, model: SotModel, adapters: Adapters, dtype: torch.dtype = torch.float16) -> None:
    """Write a checkpoint; the configuration comes last, so that a folder with one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = own_tensors(model)
    for name, (first, second) in adapters.items():
        tensors[f"{_LORA}{name}.A"], tensors[f"{_LORA}{name}.B"] = first, second
    ready = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    partial = folder / f"{WEIGHTS_FILE}.partial"
    save_file(ready, partial)
    os.replace(partial, folder / WEIGHTS_FILE)
    partial.write_text(model.config.to_json(), encoding="utf-8")
    os.replace(partial, folder / CONFIG_FILE)


def own_tensors(model: SotModel) -> dict[str, torch.Tensor]:
    """The model's weights outside the LLM, by name."""
    return {name: value for name, value in model.state_dict().items() if name.startswith(_OWN)}


def read_config(folder: Path) -> SotConfig:
    """The configuration of a checkpoint. Raises BadCheckpoint."""
    path = folder / CONFIG_FILE
    try:
        return config_from_json(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read: {error.strerror}") from error


def read_tensors(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """The model's own tensors and the adapters, float32. Raises BadCheckpoint."""
    path = folder / WEIGHTS_FILE
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise BadCheckpoint(f"{path} cannot be read: {error}") from error
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_LORA)}
    adapters = {}
    for name, tensor in tensors.items():
        if name.startswith(_LORA) and name.endswith(".A"):
            module = name.removeprefix(_LORA).removesuffix(".A")
            if f"{_LORA}{module}.B" not in tensors:
                raise BadCheckpoint(f"{path} lacks {_LORA}{module}.B")
            adapters[module] = (tensor, tensors[f"{_LORA}{module}.B"])
    if len(own) + 2 * len(adapters) != len(tensors):
        raise BadCheckpoint(f"{path} holds adapters that are not pairs of A and B")
    return own, adapters


def load_checkpoint(folder: Path, llm: PreTrainedModel) -> SotModel:
    """The model with its adapters in the LLM's weights, in eval mode. `llm` is changed and becomes part of it.

    Raises:
        BadCheckpoint: unreadable, half-written, or for another LLM; names what does not fit.
    """
    config = read_config(folder)
    check_llm(config, llm, str(folder))
    own, adapters = read_tensors(folder)
    device = llm.device
    model = SotModel(config, llm)
    load_own(model, own, str(folder))
    merge(llm, adapters, config.lora.alpha / config.lora.rank, str(folder))
    return model.to(device).requires_grad_(False).eval()


def load_own(model: SotModel, own: Mapping[str, torch.Tensor], name: str) -> None:
    """Fill the weights outside the LLM. Raises BadCheckpoint naming the tensor at fault."""
    wanted = own_tensors(model)
    odd = sorted(set(wanted) ^ set(own))
    if odd:
        raise BadCheckpoint(f"{name} lacks tensors, or has ones that do not belong: {', '.join(odd[:5])}")
    for key, tensor in own.items():
        if wanted[key].shape != tensor.shape:
            raise BadCheckpoint(f"{name}: {key} is {tuple(tensor.shape)}, expected {tuple(wanted[key].shape)}")
    model.load_state_dict(own, strict=False)


def llm_shape(llm: PreTrainedModel) -> tuple[int, int]:
    """(tokens, width) of an LLM's input embeddings."""
    table = llm.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise BadCheckpoint(f"the LLM {type(llm).__name__} has no table of embeddings")
    return table.num_embeddings, table.embedding_dim


def check_llm(config: SotConfig, llm: PreTrainedModel, name: str) -> None:
    """Raises BadCheckpoint where the LLM is not of the configuration's width and vocabulary."""
    vocab, width = llm_shape(llm)
    if (vocab, width) != (config.vocab_size, config.llm_width):
        wanted = f"{config.llm!r} with width {config.llm_width} and {config.vocab_size} tokens"
        raise BadCheckpoint(f"{name} is for {wanted}; this LLM has width {width} and {vocab} tokens")


@torch.no_grad()
def merge(llm: PreTrainedModel, adapters: Adapters, scale: float, name: str) -> None:
    """Add adapters into the LLM's linear layers. Raises BadCheckpoint naming the adapter that does not fit."""
    modules = dict(llm.named_modules())
    for path, (first, second) in adapters.items():
        layer = modules.get(path)
        if not isinstance(layer, nn.Linear) or layer.weight.shape != (len(second), first.shape[1]):
            raise BadCheckpoint(f"{name}: the adapter of {path} does not fit this LLM")
        change = scale * (second @ first)
        layer.weight.add_(change.to(layer.weight.device, layer.weight.dtype))
