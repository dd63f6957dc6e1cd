"""Linear layers in 8-bit integers, for CPUs: faster than float32, at a quarter of the memory.

Weights are rounded once, with one scale per output channel; activations at each call, with one scale per position. (One
scale for a whole batch, as torch's own dynamic quantization has it, changed many more words.) Convolutions, attention
and norms stay in float32. The product of integers is torch's `_int_mm`, which torchao builds on as well.
"""

from __future__ import annotations

from typing import TypeVar

import torch

ModelT = TypeVar("ModelT", bound=torch.nn.Module)

_LARGEST = 127.0
_LEAST = 1e-8


class Int8Linear(torch.nn.Module):
    """A linear layer that multiplies 8-bit integers. Made from a float32 one; for inference on a CPU."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = weight.abs().amax(dim=1).clamp(min=_LEAST) / _LARGEST
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8).t())  # (in, out)
        self.register_buffer("scale", scale)  # (out,)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(..., in) float32 -> (..., out) float32."""
        rows = values.reshape(-1, values.shape[-1])
        row_scale = rows.abs().amax(dim=1, keepdim=True).clamp_(min=_LEAST) / _LARGEST
        product = torch._int_mm((rows / row_scale).round_().to(torch.int8), self.weight)
        out = product.float().mul_(row_scale).mul_(self.scale)
        if self.bias is not None:
            out += self.bias
        return out.view(*values.shape[:-1], -1)


def quantize_linears(model: ModelT) -> ModelT:
    """Replace every linear layer by its 8-bit form, in place. The embeddings, which the output layer shares, stay."""
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    for name, linear in linears:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, Int8Linear(linear))
    return model
