"""The same function as ``campplus.py``, arranged for speed; clips of any lengths share one pass without padding.

Input: features of clips; output: their voice vectors. What differs from the reference form:

- Clips lie one after another as rows of one matrix (rows are time, columns are channels), a few rows of zeros between
  them, so that every 1x1 convolution is one matrix product over all clips and no convolution sees a neighbour.
- A dense block writes its new channels into one matrix instead of joining ever larger copies.
- Batch normalisation followed by ReLU and a matrix product is one clamp: for a scale s > 0,
  relu(s * x + b) = s * max(x, -b / s) + b, where s goes into the product's weights and b into its bias
  (for s < 0 it is min instead of max). Normalisation after a convolution goes into that convolution.
- The convolutions over time of context-aware masking are one product with the three taps side by side, then shifts.
- The 2-D front end runs clip by clip with the channels last in memory.

Vectors equal those of the reference form to about 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.diarization.campplus import (
    CONTEXT_FRAMES,
    CamPlusPlus,
    DenseBlock,
    DenseLayer,
    FrontEnd,
    NormRelu,
    ResidualBlock,
    Transition,
)

Norm = nn.BatchNorm1d | nn.BatchNorm2d
ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Clamped(NamedTuple):
    """Normalisation, ReLU and a matrix product: ``clamp(x, low, high) @ weight + bias``."""

    low: Tensor  # (channels_in,)
    high: Tensor  # (channels_in,)
    weight: Tensor  # (channels_in, channels_out)
    bias: Tensor  # (channels_out,)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, torch.clamp(x, self.low, self.high), self.weight)


class PackedLayer(NamedTuple):
    """One layer of a dense block."""

    bottleneck: Clamped
    taps: Tensor  # (bottleneck, 3 * growth): what each frame gives to the frame after, itself, and the frame before
    dilation: int
    squeeze: tuple[Tensor, Tensor]  # bias (bottleneck / 2,), weight (bottleneck, bottleneck / 2)
    excite: tuple[Tensor, Tensor]  # bias (growth,), weight (bottleneck / 2, growth)


class Pack(NamedTuple):
    """How clips lie in the rows of a pack."""

    spans: list[tuple[int, int]]  # rows [start, end) of each clip
    gaps: Tensor  # rows between clips
    averages: Tensor  # (contexts, rows): means over a clip plus means over each of its contexts
    context_of: Tensor  # (rows,) which context a row belongs to


class PackedCamPlusPlus:
    """Features of clips, each (T, mel_bins) float32 with T >= 3 -> vectors (clips, vector_size) float32."""

    def __init__(self, network: CamPlusPlus) -> None:
        backbone = network.xvector
        self._front = PackedFrontEnd(network.head)
        self._stem_weight, self._stem_bias = _after(backbone.tdnn.linear, backbone.tdnn.nonlinear.batchnorm)
        self._blocks = [
            ([_packed_layer(_as(layer, DenseLayer)) for layer in module.children()], network.config.growth)
            for module in backbone.children()
            if isinstance(module, DenseBlock)
        ]
        self._transits = [_transition(module) for module in backbone.children() if isinstance(module, Transition)]
        self._out_scale, self._out_shift = _scale_shift(backbone.out_nonlinear.batchnorm)
        head_weight, self._head_bias = _after(backbone.dense.linear, backbone.dense.nonlinear.batchnorm)
        self._head_weight = head_weight[:, :, 0].t().contiguous()
        self._gap_rows = max(network.config.dilations)

    def __call__(self, clips: Sequence[Tensor]) -> Tensor:
        rows = [self._stem(clip) for clip in clips]
        pack = _pack([len(clip) for clip in rows], self._gap_rows, rows[0].device)
        x = rows[0].new_zeros(len(pack.context_of), rows[0].shape[1])
        for (start, end), clip in zip(pack.spans, rows, strict=True):
            x[start:end] = clip
        for (layers, growth), transit in zip(self._blocks, self._transits, strict=True):
            x = transit(_dense_block(x, layers, growth, pack))
        x = torch.addcmul(self._out_shift, x, self._out_scale).relu_()
        moments = [torch.cat(torch.std_mean(x[start:end], dim=0)[::-1]) for start, end in pack.spans]
        return torch.addmm(self._head_bias, torch.stack(moments), self._head_weight)

    def _stem(self, features: Tensor) -> Tensor:
        """Features of one clip (T, mel) -> rows of the backbone (U, stem channels)."""
        x = self._front(features)
        x = functional.conv1d(x, self._stem_weight, self._stem_bias, stride=2, padding=2)
        return x[0].relu_().t()


class PackedFrontEnd:
    """The 2-D front end with its normalisations folded in: features (T, mel) -> (1, C * mel / 8, T)."""

    def __init__(self, front: FrontEnd) -> None:
        self._first = _fused(front.conv1, front.bn1)
        self._blocks = [_fused_block(_as(block, ResidualBlock)) for block in (*front.layer1, *front.layer2)]
        self._last = _fused(front.conv2, front.bn2)

    def __call__(self, features: Tensor) -> Tensor:
        x = features.t()[None, None].contiguous(memory_format=torch.channels_last)
        x = functional.relu_(self._first(x))
        for first, second, shortcut in self._blocks:
            inner = second(functional.relu_(first(x)))
            x = inner.add_(x if shortcut is None else shortcut(x)).relu_()
        out: Tensor = functional.relu_(self._last(x))
        return out.contiguous(memory_format=torch.contiguous_format).flatten(1, 2)


def _dense_block(x: Tensor, layers: list[PackedLayer], growth: int, pack: Pack) -> Tensor:
    """Rows (rows, C) -> (rows, C + layers * growth)."""
    channels = x.shape[1]
    out = x.new_empty(x.shape[0], channels + growth * len(layers))
    out[:, :channels] = x
    for layer in layers:
        hidden = layer.bottleneck(out[:, :channels]).relu_()
        hidden.index_fill_(0, pack.gaps, 0.0)
        weight = _context_weight(hidden, layer, pack)
        torch.mul(_local(hidden, layer, growth), weight, out=out[:, channels : channels + growth])
        channels += growth
    return out


def _context_weight(hidden: Tensor, layer: PackedLayer, pack: Pack) -> Tensor:
    """The mask of context-aware masking for each row: (rows, growth), or (1, growth) where all rows share one."""
    context = torch.addmm(layer.squeeze[0], pack.averages @ hidden, layer.squeeze[1]).relu_()
    weight = torch.addmm(layer.excite[0], context, layer.excite[1]).sigmoid_()
    return weight if len(weight) == 1 else weight.index_select(0, pack.context_of)


def _local(hidden: Tensor, layer: PackedLayer, growth: int) -> Tensor:
    """Convolution of width 3 over the rows, which are zero between clips: (rows, bottleneck) -> (rows, growth)."""
    taps = hidden @ layer.taps
    out = taps[:, growth : 2 * growth]
    out[layer.dilation :] += taps[: -layer.dilation, :growth]
    out[: -layer.dilation] += taps[layer.dilation :, 2 * growth :]
    return out


def _pack(lengths: list[int], gap_rows: int, device: torch.device) -> Pack:
    """Lay clips of ``lengths`` rows one after another with ``gap_rows`` rows between them."""
    total = sum(lengths) + gap_rows * (len(lengths) - 1)
    contexts = sum(-(-length // CONTEXT_FRAMES) for length in lengths)
    averages = torch.zeros(contexts, total)
    context_of = torch.zeros(total, dtype=torch.long)
    spans: list[tuple[int, int]] = []
    gaps: list[int] = []
    start = context = 0
    for length in lengths:
        end = start + length
        spans.append((start, end))
        for first in range(start, end, CONTEXT_FRAMES):
            last = min(first + CONTEXT_FRAMES, end)
            averages[context, start:end] = 1.0 / length
            averages[context, first:last] += 1.0 / (last - first)
            context_of[first:last] = context
            context += 1
        start = end + gap_rows
        gaps.extend(range(end, min(start, total)))
    return Pack(spans, torch.tensor(gaps, dtype=torch.long).to(device), averages.to(device), context_of.to(device))


def _packed_layer(layer: DenseLayer) -> PackedLayer:
    """Fold one dense layer."""
    mask = layer.cam_layer
    scale, shift = _scale_shift(layer.nonlinear2.batchnorm)
    folded = _clamped(layer.nonlinear1, layer.linear1.weight[:, :, 0])
    return PackedLayer(
        bottleneck=folded._replace(weight=folded.weight * scale, bias=folded.bias * scale + shift),
        taps=mask.linear_local.weight.permute(1, 2, 0).flatten(1).contiguous(),
        dilation=mask.linear_local.dilation[0],
        squeeze=_bias_weight(mask.linear1),
        excite=_bias_weight(mask.linear2),
    )


def _transition(transit: Transition) -> Clamped:
    """Fold a transition between blocks."""
    return _clamped(transit.nonlinear, transit.linear.weight[:, :, 0])


def _clamped(norm: NormRelu, weight: Tensor) -> Clamped:
    """Fold normalisation and ReLU before a product with ``weight`` (channels_out, channels_in)."""
    scale, shift = _scale_shift(norm.batchnorm)
    turn = -shift / scale
    low = torch.where(scale > 0, turn, -torch.inf)
    high = torch.where(scale < 0, turn, torch.inf)
    constant = torch.where(scale == 0, shift.relu(), shift)
    return Clamped(low, high, (weight * scale).t().contiguous(), weight @ constant)


def _scale_shift(norm: Norm) -> tuple[Tensor, Tensor]:
    """What a batch normalisation in evaluation does to each channel: x -> scale * x + shift."""
    mean, variance = _as_tensor(norm.running_mean), _as_tensor(norm.running_var)
    scale = (variance + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
        return scale, norm.bias - mean * scale
    return scale, -mean * scale


def _after(conv: nn.Conv1d, norm: Norm) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the normalisation after it folded in."""
    scale, shift = _scale_shift(norm)
    return conv.weight * scale[:, None, None], shift


def _bias_weight(conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Bias and transposed weight of a 1x1 convolution, for a product with rows."""
    return _as_tensor(conv.bias), conv.weight[:, :, 0].t().contiguous()


def _fused(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """A convolution with the normalisation after it folded in, channels last in memory."""
    fused = fuse_conv_bn_eval(_as(conv, nn.Conv2d), _as(norm, nn.BatchNorm2d))
    fused.weight.data = fused.weight.data.contiguous(memory_format=torch.channels_last)
    return fused


def _fused_block(block: ResidualBlock) -> tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d | None]:
    """The two convolutions of a residual block and its shortcut's, None where the shortcut is the identity."""
    shortcut = _fused(block.shortcut[0], block.shortcut[1]) if len(block.shortcut) else None
    return _fused(block.conv1, block.bn1), _fused(block.conv2, block.bn2), shortcut


def _as(module: nn.Module, kind: type[ModuleT]) -> ModuleT:
    """``module``, which is of ``kind``."""
    if not isinstance(module, kind):
        raise TypeError(f"expected a {kind.__name__}, got a {type(module).__name__}")
    return module


def _as_tensor(value: Tensor | None) -> Tensor:
    """``value``, which is there."""
    if value is None:
        raise TypeError("a normalisation or convolution lacks a tensor that CAM++ has")
    return value
