"""Who of a window's few local speakers is active in each frame, by a pyannote segmentation model.

First step of diarization: windows of sound at 16 kHz -> here -> soft speaker activity per frame. The model (Plaquet and
Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", arXiv 2310.13025) answers with one
class per set of simultaneous speakers; the probability that a speaker is active is the sum over the sets that hold
them. Window length, number of local speakers and powerset are read from the checkpoint, never set here.
"""

from __future__ import annotations

import io
import pickle
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models import compat
from models.diarization.geometry import FrameGeometry
from models.errors import BadCheckpoint

compat.prepare()

from pyannote.audio import Model  # noqa: E402
from pyannote.audio.core.task import Problem, Resolution, Specifications  # noqa: E402
from pyannote.audio.models.segmentation import PyanNet  # noqa: E402

SAMPLE_RATE = 16_000
FloatArray = npt.NDArray[np.float32]
SAFE_GLOBALS: list[Any] = [Specifications, Problem, Resolution, torch.torch_version.TorchVersion]
"""All that a segmentation checkpoint may hold besides tensors and plain values."""


class Segmentation:
    """A powerset segmentation model: windows of sound -> activity of each local speaker in each frame.

    Attributes:
        geometry: where the frames of a full window lie in its samples.
        local_speakers: speakers that the model can tell apart in one window.
        max_simultaneous: speakers that it can find active in one frame.
        min_samples: shortest window that it takes: two frames, as it normalises over them.
    """

    def __init__(self, model: nn.Module, geometry: FrameGeometry, local_speakers: int, max_simultaneous: int) -> None:
        self.geometry = geometry
        self.local_speakers = local_speakers
        self.max_simultaneous = max_simultaneous
        self.min_samples = geometry.duration_samples + geometry.step_samples
        self._model = model.eval().requires_grad_(False)
        self._device = next(model.parameters()).device
        self._members = powerset_members(local_speakers, max_simultaneous).to(self._device)

    def __call__(self, waveforms: FloatArray) -> FloatArray:
        """Activity (batch, frames, local_speakers) float32 in [0, 1] of ``waveforms`` (batch, samples) float32, 16 kHz.

        Each row is one window; a full one has ``geometry.window_samples`` samples and ``geometry.frames`` frames.
        Shorter ones give the frames that fit. Rows are independent: the batch does not change their values.

        Raises:
            ValueError: the array is not 2-D, or its windows are shorter than ``min_samples``.
        """
        if waveforms.ndim != 2 or waveforms.shape[1] < self.min_samples:
            raise ValueError(
                f"segmentation takes (batch, samples) with at least {self.min_samples} samples, got {waveforms.shape}"
            )
        with torch.inference_mode():
            sound = torch.from_numpy(np.ascontiguousarray(waveforms, dtype=np.float32)).to(self._device)
            log_probabilities = self._model(sound[:, None])
            activity = speaker_activity(log_probabilities, self._members)
        return activity.cpu().numpy()


class RowByRow(nn.Module):
    """Runs a module on one row of a batch at a time.

    The waveform filters of one window fill a CPU core's cache. A batch of 8 windows takes 20 ms per window for them,
    row by row 12 ms (one core); the recurrent layers behind them do gain from the batch.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: Tensor) -> Tensor:
        return torch.cat([self.inner(batch[row : row + 1]) for row in range(len(batch))])


def load_segmentation(path: Path, device: str | torch.device = "cpu") -> Segmentation:
    """The segmentation model of a pyannote checkpoint file, ready for inference on ``device``.

    pyannote reads checkpoints with the full pickle machine, which runs whatever code a file names. So the same bytes
    are first read by torch's restricted reader with pyannote's few data classes allowed: what passes holds no code.

    Raises:
        BadCheckpoint: the file cannot be read, holds anything but plain data, or is no powerset segmentation model.
    """
    content = _safe_content(path)
    try:
        model: Any = Model.from_pretrained(io.BytesIO(content), map_location=torch.device("cpu"))
    except (RuntimeError, KeyError, AttributeError, ImportError, TypeError) as error:
        raise BadCheckpoint(f"{path} does not fit its architecture: {error}") from error
    return segmentation_of(model.to(device), str(path))


def segmentation_of(model: Any, source: str) -> Segmentation:  # noqa: ANN401 (a pyannote Model, which has no types)
    """A pyannote segmentation model, its sizes read from its specifications. ``source`` names it in errors.

    Raises:
        BadCheckpoint: the model does not work at 16 kHz or is no powerset segmentation model.
    """
    specifications = model.specifications
    if not isinstance(specifications, Specifications) or not specifications.powerset:
        raise BadCheckpoint(f"{source} is no powerset segmentation model: {specifications}")
    if model.hparams.sample_rate != SAMPLE_RATE:
        raise BadCheckpoint(f"{source} works at {model.hparams.sample_rate} Hz, not {SAMPLE_RATE}")
    geometry = _geometry(model, round(specifications.duration * SAMPLE_RATE))
    if model.device.type == "cpu" and isinstance(model, PyanNet):
        model.add_module("sincnet", RowByRow(model.sincnet))
    speakers = len(specifications.classes or ())
    return Segmentation(model, geometry, speakers, specifications.powerset_max_classes or 0)


def powerset_members(local_speakers: int, max_simultaneous: int) -> Tensor:
    """Which speakers each powerset class holds: (classes, local_speakers) float32 of 0 and 1.

    Classes come by growing size and then in order of their speakers: {}, {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}.
    """
    sets = [held for size in range(max_simultaneous + 1) for held in combinations(range(local_speakers), size)]
    members = torch.zeros(len(sets), local_speakers)
    for index, held in enumerate(sets):
        members[index, list(held)] = 1.0
    return members


def speaker_activity(log_probabilities: Tensor, members: Tensor) -> Tensor:
    """Soft activity (..., local_speakers) in [0, 1] from powerset log probabilities (..., classes)."""
    return (log_probabilities.float().exp() @ members).clamp(0.0, 1.0)


def _safe_content(path: Path) -> bytes:
    """The bytes of a checkpoint that holds only plain data and names a pyannote architecture."""
    try:
        content = path.read_bytes()
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            checkpoint: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        module = str(checkpoint["pyannote.audio"]["architecture"]["module"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError) as error:
        raise BadCheckpoint(f"{path} is no readable pyannote checkpoint: {error}") from error
    if not module.startswith("pyannote.audio.models.segmentation."):
        raise BadCheckpoint(f"{path} holds a {module}, no pyannote segmentation model")
    return content


def _geometry(model: Any, window_samples: int) -> FrameGeometry:  # noqa: ANN401 (pyannote has no types)
    """Frame positions as the model states them."""
    duration = int(model.receptive_field_size(num_frames=1))
    return FrameGeometry(
        start_samples=int(model.receptive_field_center(frame=0)) - (duration - 1) // 2,
        duration_samples=duration,
        step_samples=int(model.receptive_field_size(num_frames=2)) - duration,
        frames=int(model.num_frames(window_samples)),
        window_samples=window_samples,
    )
