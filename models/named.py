"""Models by name: one of the registry's, or a folder in transformers' format. Recipes and checkpoints hold names."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.asr.whisper import AsrSettings, WhisperAsr
from models.errors import ModelError
from models.llm.load import load_llm
from models.registry import Registry
from models.store import require


class UnknownModel(ModelError):
    """A name is neither in the registry of weights nor a folder. One argument: the message."""

    code = "model_unknown"


def load_asr(name: str, registry: Registry, weights_dir: Path, settings: AsrSettings) -> WhisperAsr:
    """A Whisper. A folder has `tokenizer.json` and `generation_config.json` beside its weights.

    Raises:
        UnknownModel: nothing has that name.
        ModelError: its weights are missing or damaged.
    """
    if registry.has(f"{name}-model"):
        model, config, tokenizer = (
            require(registry, f"{name}-{part}", weights_dir) for part in ("model", "config", "tokenizer")
        )
        return WhisperAsr.load(model, config, tokenizer, settings)
    return WhisperAsr.load_dir(_folder(name, weights_dir), settings)


def load_causal_lm(
    name: str, registry: Registry, weights_dir: Path, device: str, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model and its tokenizer; frozen, in eval mode. Raises UnknownModel, ModelError."""
    path = require(registry, name, weights_dir) if registry.has(name) else _folder(name, weights_dir)
    return load_llm(path, device=device, dtype=dtype)


def _folder(name: str, weights_dir: Path) -> Path:
    """A name that is a path, absolute or below `weights_dir`."""
    path = weights_dir / name
    if not path.is_dir():
        raise UnknownModel(f"{name!r} is no model of the registry, and there is no folder {path}")
    return path
