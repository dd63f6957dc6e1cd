"""What `train` and `export` are made from: the LLM with its adapters, the prepared sets, a run's weights."""

from __future__ import annotations

from pathlib import Path

import torch

from models.adapters.lora import add_adapters, set_adapters
from models.named import load_causal_lm
from models.registry import load_registry
from models.sot.checkpoint import check_llm, llm_shape, load_own, read_config, read_tensors
from models.sot.config import SotConfig
from models.sot.llm import Llm
from models.sot.modeling import SotModel
from models.sot.text import plain_encode
from models.training import runs
from models.training.errors import DataInvalid, RecipeInvalid
from models.training.examples import Examples
from models.training.recipe import Recipe
from models.training.shards import PreparedWindow, read_description, read_states, read_windows


def load_named_llm(name: str, weights_dir: Path, device: str, precision: str = "auto") -> Llm:
    """The LLM of that name. precision: float32, bfloat16, or auto (bfloat16 on a GPU, float32 on a CPU).

    Raises ModelError.
    """
    chosen = precision if precision != "auto" else "float32" if device == "cpu" else "bfloat16"
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[chosen]
    model, tokenizer = load_causal_lm(name, load_registry(), weights_dir, device, dtype)
    if device == "cpu" and dtype == torch.bfloat16:
        # torch's fused attention is slow backwards in bfloat16 on a CPU: a window took 1.40 s, plainly written 1.19 s.
        model.set_attn_implementation("eager")
    return Llm(model, tokenizer)


def make_model(llm: Llm, recipe: Recipe, encoder_width: int, start_from: Path | None = None) -> SotModel:
    """A model ready to train: random, or from an exported checkpoint. The LLM is frozen but for its adapters.

    Raises:
        BadCheckpoint: the checkpoint to start from does not fit.
        RecipeInvalid: it was made with other sizes than the recipe's.
    """
    vocab, width = llm_shape(llm.model)
    end = llm.tokenizer.eos_token_id
    names, sizes = recipe.models, (recipe.projector, recipe.lora)
    config = SotConfig(names.encoder, encoder_width, names.llm, width, vocab, end, *sizes, names.first_pass)
    llm.model.requires_grad_(False)
    torch.manual_seed(recipe.train.seed)
    add_adapters(llm.model, recipe.lora)
    model = SotModel(config, llm.model)
    if start_from is not None:
        found = read_config(start_from)
        check_llm(found, llm.model, str(start_from))
        if (found.projector, found.lora) != (recipe.projector, recipe.lora):
            raise RecipeInvalid(f"{start_from} was made with another [projector] or [lora] than recipe {recipe.name!r}")
        own, adapters = read_tensors(start_from)
        load_own(model, own, str(start_from))
        set_adapters(llm.model, adapters)
    return model.to(llm.model.device)


def load_examples(folder: Path, model: SotModel, llm: Llm, seed: int, names: list[str] | None = None) -> Examples:
    """The examples of a prepared set; `names`: of these windows only (a run's, where the set has grown since).

    Raises:
        DataInvalid: no set, one for another encoder, or windows of the run are gone.
    """
    encoder = read_description(folder).get("encoder")
    if encoder != model.config.encoder:
        raise DataInvalid(f"{folder} was prepared with encoder {encoder!r}, the model hears {model.config.encoder!r}")
    windows = [window for window in read_windows(folder) if usable(window, model.config)]
    if names is not None:
        by_name = {window.name: window for window in windows}
        gone = [name for name in names if name not in by_name]
        if gone:
            raise DataInvalid(f"{folder} lacks {len(gone)} windows of the run: {', '.join(gone[:5])}")
        windows = [by_name[name] for name in names]
    return Examples(windows, model.config, model.layout, plain_encode(llm.tokenizer), seed)


def usable(window: PreparedWindow, config: SotConfig) -> bool:
    """Whether the model can read a window: some turn, not more speakers than slots, not too long."""
    fits = window.samples <= config.max_samples and len(window.speakers) <= config.slots
    return bool(window.turns) and fits


def encoder_width(folder: Path) -> int:
    """Width of a prepared set's states. Raises DataInvalid."""
    return read_states(read_windows(folder, 1)[0]).shape[1]


def run_weights(folder: Path, last: bool = False) -> tuple[Path, int]:
    """The file with a run's best weights (its last where asked for, or where it never validated) and their step.

    Raises:
        RunInvalid: the folder holds no state of a run.
    """
    best = folder / runs.BEST_FILE
    path = best if best.exists() and not last else folder / runs.STATE_FILE
    return path, int(runs.load_state(path)["step"])
