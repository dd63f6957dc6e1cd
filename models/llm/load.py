"""Load a language model: a GGUF file or a directory in transformers' format in, model and tokenizer out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as hf_logging

from models.errors import BadCheckpoint
from models.llm.gguf_file import read_gguf
from models.llm.llama import build_model, build_tokenizer, is_readable

_READ_ERRORS = (OSError, ValueError, RuntimeError, KeyError, ImportError)


def load_llm(
    path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model, in eval mode with gradients off, and its tokenizer.

    Args:
        path: a `.gguf` file, or a directory as transformers saves it. Nothing is fetched and no code of it is run.
        device, dtype: of the weights; a quantized file is unpacked to `dtype`.

    Raises:
        BadCheckpoint: it is no language model, or tensors are missing, left over or of another shape.
        OSError: a file cannot be opened.
    """
    if path.is_dir():
        return _from_transformers(path, {}, device=device, dtype=dtype)
    file = read_gguf(path)
    if not is_readable(file):
        return _from_transformers(path.parent, {"gguf_file": path.name}, device=device, dtype=dtype)
    try:
        return build_model(file, device=device, dtype=dtype), build_tokenizer(file)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path}: {error}") from None


def _from_transformers(
    directory: Path, options: dict[str, str], *, device: torch.device | str, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                directory, dtype=dtype, local_files_only=True, output_loading_info=True, **options
            )
            tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, **options)
    except _READ_ERRORS as error:
        raise BadCheckpoint(f"{directory} holds no language model that can be read: {error}") from error
    model: PreTrainedModel = loaded[0]
    report: Mapping[str, Any] = loaded[1]
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(key):
            raise BadCheckpoint(f"{directory}: {key.replace('_', ' ')}: {sorted(map(str, report[key]))[:5]}")
    model.to(device)  # type: ignore[arg-type]  # of a method that transformers wraps
    model.requires_grad_(False).train(False)
    return model, tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no advice from transformers while it loads."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.ERROR)
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
