"""Voice vectors: one unit vector per clip, or per local speaker of a window, by which speakers are told apart.

Second step of diarization: windows of sound and their speaker activity (``segmentation.py``) -> speech of each speaker
alone (``runs.py``) -> features (``features.py``) -> CAM++ (``campplus.py``) -> here, normalised vectors.
The dot product of two vectors is their cosine similarity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.diarization.campplus import CamPlusPlus, load_campplus
from models.diarization.campplus_packed import PackedCamPlusPlus
from models.diarization.features import LogMel, without_mean
from models.pause import pause

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

MIN_CLIP_SAMPLES = 720
"""Shortest clip that has a vector at all (45 ms: three feature frames). Vectors are of use from about 1 s on."""

PACK_SAMPLES_CPU = 256_000
"""Clips that go through the network together: 16 s. Longer packs are no faster on a CPU core and take more memory."""
PACK_SAMPLES_GPU = 16_000_000
"""1000 s: enough rows per product to keep a GPU busy."""


class VoiceEncoder:
    """Clips of one voice each -> voice vectors. A clip has the same vector alone and among others."""

    def __init__(self, network: CamPlusPlus) -> None:
        network = network.eval().requires_grad_(False)
        self.vector_size = network.config.vector_size
        self._device = next(network.parameters()).device
        self._pack_samples = PACK_SAMPLES_CPU if self._device.type == "cpu" else PACK_SAMPLES_GPU
        self._features = LogMel(network.config.mel_bins).to(self._device)
        self._network = PackedCamPlusPlus(network)

    def __call__(self, clips: Sequence[FloatArray]) -> FloatArray:
        """Vectors (num_clips, vector_size) float32 of length 1 for ``clips``, each (samples,) float32 at 16 kHz.

        Raises:
            ValueError: a clip is not 1-D, shorter than MIN_CLIP_SAMPLES, or holds NaN or infinity.
        """
        for index, clip in enumerate(clips):
            _check_clip(index, clip)
        vectors = np.empty((len(clips), self.vector_size), dtype=np.float32)
        with torch.inference_mode():
            for start, end in _packs([len(clip) for clip in clips], self._pack_samples):
                pause()
                features = [self._features_of(clip) for clip in clips[start:end]]
                vectors[start:end] = functional.normalize(self._network(features), dim=1).cpu().numpy()
        return vectors

    def _features_of(self, clip: FloatArray) -> Tensor:
        """Features (T, mel_bins) of one clip on the network's device."""
        sound = torch.from_numpy(np.ascontiguousarray(clip, dtype=np.float32)).to(self._device)
        features: Tensor = self._features(sound[None])[0]
        return without_mean(features)


def load_voice_encoder(path: Path, device: str | torch.device = "cpu") -> VoiceEncoder:
    """The voice encoder with the CAM++ weights of ``path``.

    Raises:
        BadCheckpoint: the file does not hold the weights of CAM++.
    """
    return VoiceEncoder(load_campplus(path, device))


def _check_clip(index: int, clip: FloatArray) -> None:
    """Refuse what has no vector."""
    if clip.ndim != 1 or len(clip) < MIN_CLIP_SAMPLES:
        raise ValueError(
            f"clip {index} has shape {clip.shape}; a clip is 1-D and has at least {MIN_CLIP_SAMPLES} samples"
        )
    if not np.isfinite(clip).all():
        raise ValueError(f"clip {index} holds samples that are NaN or infinite")


def _packs(lengths: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Runs [start, end) of neighbouring clips of at most ``most`` samples together, or of one clip."""
    start, total = 0, 0
    for index, length in enumerate(lengths):
        if index > start and total + length > most:
            yield start, index
            start, total = index, 0
        total += length
    if start < len(lengths):
        yield start, len(lengths)
