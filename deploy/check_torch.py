"""Fails an image's build whose PyTorch is not built for the device that the image is for: check_torch.py DEVICE."""

from __future__ import annotations

import sys


def complaint(device: str, cuda: str | None) -> str | None:
    """What is wrong, for people; None when nothing is. cuda: the version that PyTorch is built for, None = CPU only."""
    if device not in {"auto", "cpu", "cuda"}:
        return f"DEVICE must be auto, cpu or cuda, not {device!r}"
    if device == "cpu" and cuda is not None:
        return f"this PyTorch is built for CUDA {cuda}: give TORCH_INDEX an index of CPU-only builds, or DEVICE=auto"
    if device == "cuda" and cuda is None:
        return "this PyTorch is CPU-only: give TORCH_INDEX an index of CUDA builds"
    return None


if __name__ == "__main__":
    import torch

    sys.exit(complaint(sys.argv[1], torch.version.cuda))
