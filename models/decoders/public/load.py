"""A public model from a folder, or from what the hub's client has in its cache: checked, then loaded.

Nothing is fetched, and no code that lies beside the weights is run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

from models.decoders.public.kinds import Kind
from models.decoders.public.writer import PublicWriter
from models.errors import BadCheckpoint, ModelError
from models.llm.load import quiet
from models.registry import PublicModel

_AT_COMMIT = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
_READ_ERRORS = (OSError, ValueError, RuntimeError, KeyError, ImportError, TypeError)
_SPARE = 1.15
_SPARE_BYTES = 1 << 30


class PublicWeightsMissing(ModelError):
    """The weights of a public model are not named, or not where they were said to be. One argument: the message."""

    code = "public_weights_missing"


class TooLittleMemory(ModelError):
    """The weights do not fit the memory that is free. One argument: the message."""

    code = "memory_too_little"


def load_public(kind: Kind, known: PublicModel, source: str, device: str, dtype: torch.dtype) -> PublicWriter:
    """The model called `kind.name`, ready to write.

    Args:
        source: a folder as transformers saves it, or `REPOSITORY@COMMIT` of the hub.

    Raises:
        PublicWeightsMissing: no source is named, or nothing is there.
        BadCheckpoint: it is another model, or damaged.
        TooLittleMemory: it would not fit the device's free memory.
    """
    folder = locate(kind, known, source)
    _check_type(kind, folder)
    check_memory(kind, folder, device, dtype)
    model_class: Any = getattr(transformers, kind.model_class)
    processor_class: Any = getattr(transformers, kind.processor_class)
    try:
        with quiet():
            model, report = model_class.from_pretrained(
                folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            processor = processor_class.from_pretrained(folder, local_files_only=True)
    except _READ_ERRORS as error:
        raise BadCheckpoint(f"{folder} holds no {kind.name} model that can be read: {error}") from error
    _check_whole(folder, report)
    if not processor.chat_template:
        raise BadCheckpoint(f"{folder} has no chat template, which says how the model is asked")
    model.to(device)
    model.requires_grad_(False).train(False)
    return PublicWriter(kind, model, processor)


def locate(kind: Kind, known: PublicModel, source: str) -> Path:
    """The folder of the weights. Raises PublicWeightsMissing, telling how to name and get them."""
    if not source:
        raise PublicWeightsMissing(
            f"the {kind.name} decoder needs weights of your choice: set CROSSTALK_ENGINE__DECODER_MODEL to a folder, "
            f"or to REPOSITORY@COMMIT (a full commit hash), for example of {known.repo}"
        )
    match = _AT_COMMIT.fullmatch(source)
    if match is None:
        folder = Path(source).expanduser()
        if not (folder / "config.json").is_file():
            raise PublicWeightsMissing(
                f"{source!r} is no folder with a config.json, nor REPOSITORY@COMMIT with a full commit hash"
            )
        return folder
    repo, revision = match["repo"], match["revision"]
    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise PublicWeightsMissing(
            f"{source} is not in the hub's cache on this machine; "
            f"get it with `hf download {repo} --revision {revision}`"
        ) from error


def _check_type(kind: Kind, folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = config.get("model_type") if isinstance(config, dict) else None
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{folder / 'config.json'} cannot be read: {error}") from error
    if found != kind.model_type:
        raise BadCheckpoint(f"{folder} holds a model of type {found!r}; the {kind.name} decoder is {kind.model_type!r}")


def _check_whole(folder: Path, report: Mapping[str, Any]) -> None:
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(key):
            raise BadCheckpoint(f"{folder}: {key.replace('_', ' ')}: {sorted(map(str, report[key]))[:5]}")


def check_memory(kind: Kind, folder: Path, device: str, dtype: torch.dtype) -> None:
    """Refuse weights that cannot fit, before minutes are spent on reading them. Raises TooLittleMemory, BadCheckpoint.

    What is needed is counted from the tensors' shapes, with some room for what the model computes.
    """
    needed = int(count_weights(folder) * dtype.itemsize * _SPARE) + _SPARE_BYTES
    free = free_bytes(device)
    if free is not None and needed > free:
        raise TooLittleMemory(
            f"the {kind.name} model needs about {needed / 1e9:.1f} GB as {str(dtype).removeprefix('torch.')}, "
            f"and {free / 1e9:.1f} GB of {device}'s memory are free; a smaller number format "
            f"(CROSSTALK_ENGINE__DTYPE=bfloat16) or another device may do"
        )


def count_weights(folder: Path) -> int:
    """Numbers in the folder's safetensors files. Raises BadCheckpoint."""
    total = 0
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadCheckpoint(f"{folder} holds no .safetensors file")
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118  # not a mapping
                    size = 1
                    for side in file.get_slice(name).get_shape():
                        size *= side
                    total += size
        except (OSError, SafetensorError) as error:
            raise BadCheckpoint(f"{path} cannot be read: {error}") from error
    return total


def free_bytes(device: str) -> int | None:
    """Free memory of a device; None where the system does not tell."""
    if device != "cpu":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
