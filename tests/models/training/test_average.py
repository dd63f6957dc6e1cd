"""The mean of checkpoints: of their weights, by shares; other models and odd shares are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.target.checkpoint import WEIGHTS_FILE, TargetConfig, read_config, save
from models.target.modeling import Conditioning
from models.training.commands import main

CONFIG = TargetConfig("whisper-base", 2, 8, 2, 4.0)


def write(folder: Path, value: float, config: TargetConfig = CONFIG, layer: str = "fc1") -> Path:
    maps = Conditioning(config.layers, config.width)
    with torch.no_grad():
        for weight in maps.parameters():
            weight.fill_(value)
    save(folder, config, maps, {layer: (torch.full((2, 8), value), torch.full((8, 2), -value))})
    return folder


def test_the_mean_is_by_shares(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one", 1.0), write(tmp_path / "other", 5.0)
    assert main(["average", str(one), str(other), "--out", str(tmp_path / "even")]) == 0
    shares = ["--share", "3", "--share", "1"]
    assert main(["average", str(one), str(other), *shares, "--out", str(tmp_path / "mean")]) == 0
    for name, wanted in (("even", 3.0), ("mean", 2.0)):
        assert read_config(tmp_path / name) == CONFIG
        tensors = load_file(tmp_path / name / WEIGHTS_FILE)
        assert tensors.keys() == load_file(one / WEIGHTS_FILE).keys()
        assert {float(value.abs().mean()) for value in tensors.values()} == {wanted}
        assert float(tensors["lora.fc1.b"].mean()) == -wanted


def test_what_cannot_be_averaged_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, out = write(tmp_path / "one", 1.0), tmp_path / "out"
    wide = write(tmp_path / "wide", 1.0, dataclasses.replace(CONFIG, width=16))
    layers = write(tmp_path / "layers", 1.0, layer="fc2")
    for other, words in ((wide, "is of another model"), (layers, "adapters of other layers")):
        assert main(["average", str(one), str(other), "--out", str(out)]) == 1
        assert f"{other}" in (said := capsys.readouterr().err)
        assert words in said
    assert main(["average", str(one), str(one), "--share", "1", "--out", str(out)]) == 1
    assert "one share above 0 for each of 2 checkpoints" in capsys.readouterr().err
    assert not out.exists()
