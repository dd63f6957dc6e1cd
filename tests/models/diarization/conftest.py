"""Shared pieces of the diarization tests: tiny random networks, and pyannote.audio's real recording."""

from __future__ import annotations

import importlib.util
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.diarization.campplus import CamPlusPlus, CamPlusPlusConfig

TINY = CamPlusPlusConfig(
    mel_bins=16,
    vector_size=12,
    front_channels=4,
    stem_channels=10,
    growth=6,
    bottleneck=8,
    layers=(2, 3, 2),
    dilations=(1, 2, 2),
)


def randomise(network: nn.Module, seed: int) -> None:
    """Give every normalisation the statistics and scales of a trained one, negative and zero scales among them."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        module.running_mean.normal_(0.0, 0.5, generator=generator)
        module.running_var.uniform_(0.3, 2.0, generator=generator)
        if module.affine:
            nn.init.normal_(module.weight, 0.6, 0.6, generator=generator)
            nn.init.normal_(module.bias, 0.0, 0.5, generator=generator)
            module.weight.data[0] = 0.0


@pytest.fixture
def tiny_network() -> CamPlusPlus:
    """A random CAM++ in evaluation mode: 16 mel bins, vectors of 12."""
    torch.manual_seed(7)
    network = CamPlusPlus(TINY)
    randomise(network, seed=7)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """Where pyannote.audio keeps its 30 s of telephone talk between two people."""
    spec = importlib.util.find_spec("pyannote.audio")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "sample"


@pytest.fixture(scope="session")
def sample_waveform(sample_folder: Path) -> np.ndarray:
    """The recording: (480000,) float32 at 16 kHz."""
    with wave.open(str(sample_folder / "sample.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return pcm.astype(np.float32) / 32768.0


@pytest.fixture(scope="session")
def sample_turns(sample_folder: Path) -> list[tuple[int, int, str]]:
    """Who speaks when in it by a human's hand: (start sample, end sample, speaker)."""
    turns = []
    for line in (sample_folder / "sample.rttm").read_text().splitlines():
        field = line.split()
        start_s, duration_s = float(field[3]), float(field[4])
        turns.append((round(start_s * 16_000), round((start_s + duration_s) * 16_000), field[7]))
    return turns
