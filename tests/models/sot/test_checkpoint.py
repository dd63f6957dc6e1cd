"""A checkpoint is loaded as it was saved; damaged ones, and ones for another LLM, are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.adapters.lora import adapters_of
from models.errors import BadCheckpoint
from models.sot.checkpoint import CONFIG_FILE, WEIGHTS_FILE, load_checkpoint, save_checkpoint
from models.sot.modeling import SotModel
from models.training.setup import make_model
from tests.models.sot.test_modeling import window
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_llm, tiny_recipe


@pytest.fixture
def trained() -> SotModel:
    """A model whose adapters do something."""
    model = make_model(tiny_llm(), tiny_recipe(), ENCODER_WIDTH)
    with torch.no_grad():
        for _, second in adapters_of(model.llm).values():
            second.normal_(std=0.2)
    return model.eval()


@pytest.fixture
def folder(trained: SotModel, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "saved", trained, adapters_of(trained.llm), torch.float32)
    return tmp_path / "saved"


@torch.no_grad()
def test_it_says_what_the_trained_model_says(trained: SotModel, folder: Path) -> None:
    loaded = load_checkpoint(folder, tiny_llm().model)
    item = window(trained, 50, 1)
    assert loaded.config == trained.config
    assert float(loaded(item)) == pytest.approx(float(trained(item)), rel=1e-4)
    assert float(SotModel(trained.config, tiny_llm().model)(item)) != pytest.approx(float(trained(item)), rel=1e-3)


def test_half_precision_is_half_the_size(trained: SotModel, folder: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "half", trained, adapters_of(trained.llm))
    whole, half = ((path / WEIGHTS_FILE).stat().st_size for path in (folder, tmp_path / "half"))
    assert half < 0.6 * whole


def test_another_llm_is_refused(folder: Path) -> None:
    with pytest.raises(BadCheckpoint, match="this LLM has width 48"):
        load_checkpoint(folder, tiny_llm(width=48).model)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_half_written_folder_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadCheckpoint, match=name):
        load_checkpoint(folder, tiny_llm().model)


def test_a_cut_file_is_refused(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadCheckpoint, match=WEIGHTS_FILE):
        load_checkpoint(folder, tiny_llm().model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("slots.weight", "slots.weight"),
        ("lora.model.layers.0.self_attn.q_proj.B", r"q_proj\.B"),
        ("lora.model.layers.0.self_attn.q_proj.A", "pairs"),
    ],
)
def test_a_missing_tensor_is_named(folder: Path, change: str, message: str) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    del tensors[change]
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(BadCheckpoint, match=message):
        load_checkpoint(folder, tiny_llm().model)


def test_a_tensor_of_another_shape_is_named(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    tensors["time.weight"] = tensors["time.weight"][:, :-1].contiguous()
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(BadCheckpoint, match=r"time\.weight is \(32, 127\)"):
        load_checkpoint(folder, tiny_llm().model)


def test_an_adapter_of_another_shape_is_named(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    key = "lora.model.layers.1.mlp.up_proj.B"
    tensors[key] = tensors[key][:-1].contiguous()
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(BadCheckpoint, match=r"layers\.1\.mlp\.up_proj"):
        load_checkpoint(folder, tiny_llm().model)
