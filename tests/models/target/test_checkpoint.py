"""A target-speaker checkpoint: loaded as it was saved; damaged ones and ones for another Whisper are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.adapters.lora import adapters_of
from models.decoders import build
from models.decoders.build import DecoderSettings, load_decoder, load_target_whisper
from models.decoders.target import TargetDecoder
from models.errors import BadCheckpoint
from models.registry import load_registry
from models.target.checkpoint import CONFIG_FILE, WEIGHTS_FILE, save
from models.target.masks import stno
from models.target.modeling import encode
from models.target.training import TargetModel
from models.target.whisper import TargetClip, TargetWhisper
from models.training import target_setup
from models.training.target_setup import make_target_model, target_config
from tests.models.sot.tiny import tiny_asr
from tests.models.target.tiny_target import RECIPE

RATE = 16_000
SOUND = np.random.default_rng(1).normal(0, 0.1, 2 * RATE).astype(np.float32)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TargetModel:
    """A model whose maps and adapters do something."""
    monkeypatch.setattr(target_setup, "load_asr", lambda *_: tiny_asr(tmp_path))
    monkeypatch.setattr(build, "load_asr", lambda *_: tiny_asr(tmp_path))
    model, _ = make_target_model(RECIPE, tmp_path, "cpu")
    with torch.no_grad():
        model.maps.scale.normal_()
        for _, second in adapters_of(model.whisper).values():
            second.normal_(std=0.2)
    return model


@pytest.fixture
def folder(trained: TargetModel, tmp_path: Path) -> Path:
    shape = trained.whisper.config
    config = target_config(RECIPE, shape.encoder_layers, shape.d_model)
    save(tmp_path / "saved", config, trained.maps, adapters_of(trained.whisper))
    return tmp_path / "saved"


def load(folder: Path) -> TargetWhisper:
    return load_target_whisper(folder, DecoderSettings(load_registry(), folder))


@torch.no_grad()
def test_it_hears_what_the_trained_model_hears(trained: TargetModel, folder: Path) -> None:
    loaded = load(folder)
    clip = TargetClip(SOUND, ((0, RATE),), ((RATE // 2, 2 * RATE),))
    mel = loaded.asr.mel([SOUND], 2 * RATE)
    mask = torch.from_numpy(stno(clip.target, clip.others, len(SOUND), 100))[None]
    expected = encode(trained.whisper.model.encoder, trained.maps, mel, mask)
    torch.testing.assert_close(loaded.encode([clip], 2 * RATE), expected, atol=0.02, rtol=0.02)


def test_it_is_a_decoder_by_name(folder: Path) -> None:
    assert isinstance(
        load_decoder("target", DecoderSettings(load_registry(), folder, checkpoint=folder)), TargetDecoder
    )


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_half_written_folder_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadCheckpoint, match=name):
        load(folder)


def test_a_cut_file_is_refused(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadCheckpoint, match=WEIGHTS_FILE):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 2}, "do not fit 2 layers"),
        ({"format": 9}, "format 9"),
        ({"extra": 1}, "its keys"),
        ({"width": None}, "width must be int"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(folder: Path, change: dict[str, object], message: str) -> None:
    path = folder / CONFIG_FILE
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, **change}))
    with pytest.raises(BadCheckpoint, match=message):
        load(folder)


def test_another_whisper_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def larger(*_: object) -> object:
        asr = tiny_asr(tmp_path)
        asr.d_model = 48
        return asr

    monkeypatch.setattr(build, "load_asr", larger)
    with pytest.raises(BadCheckpoint, match="width 16; this one has 1 and 48"):
        load(folder)


def test_half_an_adapter_is_named(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    del tensors["lora.model.encoder.layers.0.fc1.a"]
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(BadCheckpoint, match=r"encoder\.layers\.0\.fc1\.a"):
        load(folder)


def test_an_adapter_of_another_shape_is_named(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    key = "lora.model.encoder.layers.0.fc1.b"
    tensors[key] = tensors[key][:-1].contiguous()
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(BadCheckpoint, match=r"encoder\.layers\.0\.fc1"):
        load(folder)
