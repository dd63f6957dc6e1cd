"""CAM++: the network that turns filterbank features of one voice into a voice vector, as the paper defines it.

Written from Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking"
(arXiv 2303.00332). The modules bear the names of the public 3D-Speaker checkpoints, so that those load strictly.
This form is plain and serves to load weights and as the reference; ``campplus_packed.py`` computes the same faster.

Dimension symbols: B clips, T feature frames (10 ms), U = ceil(T / 2) frames of the backbone (20 ms), C channels.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import BadCheckpoint

CONTEXT_FRAMES = 100
"""Backbone frames (2 s) that share one local context in context-aware masking (paper, section 2.2)."""
FAULTS_NAMED = 5


@dataclass(frozen=True, slots=True)
class CamPlusPlusConfig:
    """Sizes of the network; the defaults are those of the paper and of the public 192-dimensional checkpoints."""

    mel_bins: int = 80
    vector_size: int = 192
    front_channels: int = 32
    stem_channels: int = 128
    growth: int = 32
    bottleneck: int = 128
    layers: tuple[int, ...] = (12, 24, 16)
    dilations: tuple[int, ...] = (1, 2, 2)


class NormRelu(nn.Module):
    """Batch normalisation and ReLU over (B, C, U)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.batchnorm(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions over (B, C, mel, T) with a shortcut; ``stride`` thins out the mel axis only."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            projection = nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class FrontEnd(nn.Module):
    """2-D convolutions over the features: (B, mel, T) -> (B, C * mel / 8, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(ResidualBlock(channels, 2), ResidualBlock(channels, 1))
        self.layer2 = nn.Sequential(ResidualBlock(channels, 2), ResidualBlock(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(features[:, None])))
        x = self.layer2(self.layer1(x))
        return functional.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class Stem(nn.Module):
    """Convolution of width 5 that halves the frame rate: (B, C, T) -> (B, stem, U)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels_in, channels_out, 5, stride=2, padding=2, bias=False)
        self.nonlinear = NormRelu(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.nonlinear(self.linear(x))
        return out


class ContextMask(nn.Module):
    """Context-aware masking: a local convolution weighted by a mask made of the clip's and the segment's means."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(channels_in, channels_out, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(channels_in, channels_in // 2, 1)
        self.linear2 = nn.Conv1d(channels_in // 2, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        context = x.mean(dim=2, keepdim=True) + functional.avg_pool1d(x, CONTEXT_FRAMES, ceil_mode=True)
        weight = torch.sigmoid(self.linear2(functional.relu(self.linear1(context))))
        local: Tensor = self.linear_local(x)
        return local * weight.repeat_interleave(CONTEXT_FRAMES, dim=2)[..., : local.shape[2]]


class DenseLayer(nn.Module):
    """One layer of a dense block: all channels so far -> bottleneck -> ``growth`` new channels."""

    def __init__(self, channels: int, config: CamPlusPlusConfig, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = NormRelu(channels)
        self.linear1 = nn.Conv1d(channels, config.bottleneck, 1, bias=False)
        self.nonlinear2 = NormRelu(config.bottleneck)
        self.cam_layer = ContextMask(config.bottleneck, config.growth, dilation)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return out


class DenseBlock(nn.Module):
    """Densely connected time-delay layers: (B, C, U) -> (B, C + layers * growth, U)."""

    def __init__(self, channels: int, layers: int, config: CamPlusPlusConfig, dilation: int) -> None:
        super().__init__()
        for index in range(layers):
            self.add_module(f"tdnnd{index + 1}", DenseLayer(channels + index * config.growth, config, dilation))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Transition(nn.Module):
    """Halves the channels between dense blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = NormRelu(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.nonlinear(x))
        return out


class Standardise(nn.Module):
    """Batch normalisation without a learnt scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.batchnorm(x)
        return out


class VectorHead(nn.Module):
    """Mean and unbiased standard deviation over time, then the vector: (B, C, U) -> (B, vector_size)."""

    def __init__(self, channels: int, vector_size: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(2 * channels, vector_size, 1, bias=False)
        self.nonlinear = Standardise(vector_size)

    def forward(self, x: Tensor) -> Tensor:
        std, mean = torch.std_mean(x, dim=2, keepdim=True)
        out: Tensor = self.nonlinear(self.linear(torch.cat([mean, std], dim=1)).squeeze(2))
        return out


class Backbone(nn.Module):
    """The densely connected time-delay network: (B, C, T) -> (B, vector_size)."""

    def __init__(self, channels_in: int, config: CamPlusPlusConfig) -> None:
        super().__init__()
        self.tdnn = Stem(channels_in, config.stem_channels)
        channels = config.stem_channels
        for index, (layers, dilation) in enumerate(zip(config.layers, config.dilations, strict=True)):
            self.add_module(f"block{index + 1}", DenseBlock(channels, layers, config, dilation))
            channels += layers * config.growth
            self.add_module(f"transit{index + 1}", Transition(channels))
            channels //= 2
        self.out_nonlinear = NormRelu(channels)
        self.dense = VectorHead(channels, config.vector_size)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.children():
            x = step(x)
        return x


class CamPlusPlus(nn.Module):
    """Features (B, T, mel_bins) float32 -> voice vectors (B, vector_size) float32, not of length 1.

    T is at least 3: the spread over time needs two frames of the backbone. ``mel_bins`` is a multiple of 8.
    """

    def __init__(self, config: CamPlusPlusConfig | None = None) -> None:
        super().__init__()
        self.config = config or CamPlusPlusConfig()
        self.head = FrontEnd(self.config.front_channels)
        self.xvector = Backbone(self.config.front_channels * self.config.mel_bins // 8, self.config)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.xvector(self.head(features.transpose(1, 2)))
        return out


def load_campplus(path: Path, device: str | torch.device = "cpu") -> CamPlusPlus:
    """The network with the weights of ``path``, ready for inference on ``device``.

    Raises:
        BadCheckpoint: the file is no checkpoint of plain tensors, or its names or shapes are not those of CAM++.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise BadCheckpoint(f"{path} is no readable CAM++ checkpoint: {error}") from error
    model = CamPlusPlus()
    load_strictly(model, state, str(path))
    return model.eval().requires_grad_(False).to(device)


def load_strictly(model: nn.Module, state: object, source: str) -> None:
    """Load ``state`` into ``model`` where every name and shape fits; ``source`` says in errors where it came from.

    Raises:
        BadCheckpoint: a name is missing or unexpected, or a shape differs; the first few are named.
    """
    if not isinstance(state, Mapping):
        raise BadCheckpoint(f"{source} holds a {type(state).__name__}, no mapping of names to tensors")
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(value.shape) if isinstance(value, Tensor) else None for name, value in state.items()}
    faults = [f"missing {name}" for name in wanted if name not in found]
    faults += [f"unexpected {name}" for name in found if name not in wanted]
    faults += [
        f"{name} has shape {found[name]} instead of {shape}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    if faults:
        more = f" and {len(faults) - FAULTS_NAMED} more" if len(faults) > FAULTS_NAMED else ""
        raise BadCheckpoint(f"{source} does not fit CAM++: {'; '.join(faults[:FAULTS_NAMED])}{more}")
    model.load_state_dict(state, strict=True)
