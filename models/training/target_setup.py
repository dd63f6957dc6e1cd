"""What `train` and `export` are made from where the target-speaker model is trained."""

from __future__ import annotations

from pathlib import Path

import torch

from models.adapters.lora import add_adapters, set_adapters
from models.asr.tokens import WhisperTokens
from models.asr.whisper import AsrSettings
from models.named import load_asr
from models.registry import load_registry
from models.target.checkpoint import TargetConfig, read_config, read_weights
from models.target.modeling import new_conditioning
from models.target.training import TargetModel
from models.training.errors import DataInvalid, RecipeInvalid
from models.training.recipe import Recipe
from models.training.shards import read_windows
from models.training.target_examples import TargetExamples


def make_target_model(
    recipe: Recipe, weights_dir: Path, device: str, precision: str = "auto", start_from: Path | None = None
) -> tuple[TargetModel, WhisperTokens]:
    """A model ready to train: as Whisper came, or from an exported checkpoint; and its vocabulary.

    Args:
        precision: of Whisper's weights: float32, bfloat16, or auto (bfloat16 on a GPU, float32 on a CPU).

    Raises:
        ModelError: the Whisper's weights are missing or damaged.
        RecipeInvalid: the checkpoint was made with other adapters than the recipe's, or for another Whisper.
    """
    chosen = precision if precision != "auto" else "float32" if device == "cpu" else "bfloat16"
    asr = load_asr(recipe.models.encoder, load_registry(), weights_dir, AsrSettings(device))
    maps = new_conditioning(asr.model)
    asr.model.requires_grad_(False)
    if chosen == "bfloat16":
        asr.model.bfloat16()
    torch.manual_seed(recipe.train.seed)
    add_adapters(asr.model, recipe.lora)
    if start_from is not None:
        found = read_config(start_from)
        if found != target_config(recipe, asr.model.config.encoder_layers, asr.d_model):
            raise RecipeInvalid(f"{start_from} was made with another encoder or [lora] than recipe {recipe.name!r}")
        maps, adapters = read_weights(start_from, found)
        maps.requires_grad_(True)
        set_adapters(asr.model, adapters)
    return TargetModel(asr.model, maps).to(device), asr.tokens


def target_config(recipe: Recipe, layers: int, width: int) -> TargetConfig:
    """What a checkpoint of the recipe's model says of itself."""
    return TargetConfig(recipe.models.encoder, layers, width, recipe.lora.rank, recipe.lora.alpha)


def load_target_examples(
    folder: Path, model: TargetModel, tokens: WhisperTokens, seed: int, names: list[str] | None = None
) -> TargetExamples:
    """The examples of a prepared set; `names`: of these parts only (a run's, where the set has grown since).

    Raises:
        DataInvalid: no set, or windows of the run are gone.
    """
    windows = [window for window in read_windows(folder) if window.turns]
    examples = TargetExamples(windows, tokens, model.whisper.config.num_mel_bins, seed)
    if names is not None:
        by_name = {part.name: part for part in examples.windows}
        gone = [name for name in names if name not in by_name]
        if gone:
            raise DataInvalid(f"{folder} lacks {len(gone)} windows of the run: {', '.join(gone[:5])}")
        examples.windows = [by_name[name] for name in names]
    return examples
