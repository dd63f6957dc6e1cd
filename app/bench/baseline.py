"""The yardstick: pyannote.audio's own SpeakerDiarization pipeline with the same two models, on the same meetings.

BenchItems -> pyannote's turns -> scores and speed. The pipeline is the published one of speaker-diarization-3.1:
windows of 10 s every 1 s, a voice vector per local speaker without overlapped speech where that is long enough,
agglomerative clustering by centroids. Its clustering threshold was tuned for another voice encoder, so to be fair it is
run at the published threshold and at any others; the best of them is pyannote at its best on these very meetings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from app.bench.corpora import BenchItem
from app.bench.report import ItemResult, pool
from app.bench.scoring import score
from app.bench.speech import Speech, SpokenTurn
from app.bench.values import Speed
from models import compat
from models.diarization.embedding import MIN_CLIP_SAMPLES, VoiceEncoder, load_voice_encoder
from models.diarization.segmentation import SAMPLE_RATE
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require

compat.prepare()

from pyannote.audio import Model  # noqa: E402
from pyannote.audio.core.plda import PLDA  # noqa: E402
from pyannote.audio.pipelines import SpeakerDiarization  # noqa: E402

FloatArray = npt.NDArray[np.float32]
Load = Callable[[Path], FloatArray]
"""A recording's samples: (samples,) float32 in [-1, 1], mono, 16 kHz."""

PUBLISHED_THRESHOLD = 0.7045654963945799
"""Of pyannote/speaker-diarization-3.1, tuned for wespeaker-voxceleb-resnet34-LM."""
SWEEP = tuple(step / 20 for step in range(8, 23))
"""Thresholds from 0.40 to 1.10, to find the best one for the voice encoder at hand."""
MIN_CLUSTER_SIZE = 12
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """Results with one clustering threshold. Speed is that of a full pass, whatever the threshold."""

    threshold: float
    items: tuple[ItemResult, ...]


class ClipVectors(Model):
    """Our voice encoder in the shape of a pyannote embedding model.

    pyannote weighs frames inside the network; ours takes a clip, so frames below half weight are cut out instead.
    """

    def __init__(self, encoder: VoiceEncoder) -> None:
        super().__init__(sample_rate=SAMPLE_RATE, num_channels=1)
        self._encoder = encoder

    @property
    def dimension(self) -> int:
        """Size of a vector."""
        return self._encoder.vector_size

    def forward(self, waveforms: Tensor, weights: Tensor | None = None, **_: object) -> Tensor:
        """Vectors (batch, dimension) of waveforms (batch, 1, samples), of which the frames with weights (batch, frames)
        above 0.5 count. A row of NaN where nothing counts; too short a clip is repeated until it is long enough."""
        sounds = waveforms[:, 0].cpu().numpy()
        clips = (
            list(sounds) if weights is None else [_kept(*pair) for pair in zip(sounds, _array(weights), strict=True)]
        )
        vectors = np.full((len(clips), self.dimension), np.nan, dtype=np.float32)
        voiced = [index for index, clip in enumerate(clips) if len(clip)]
        vectors[voiced] = self._encoder([_long_enough(clips[index]) for index in voiced])
        return torch.from_numpy(vectors)


class _NoPlda(PLDA):
    """Stands where the pipeline insists on a PLDA model, which its agglomerative clustering never uses."""

    def __init__(self) -> None:
        self.lda_dimension = 0


class Baseline:
    """pyannote's pipeline, ready to run."""

    def __init__(self, segmentation: Model, encoder: VoiceEncoder, batch_size: int = BATCH_SIZE) -> None:
        self._pipeline = SpeakerDiarization(
            segmentation=segmentation,
            embedding=ClipVectors(encoder),
            embedding_exclude_overlap=True,
            plda=_NoPlda(),
            clustering="AgglomerativeClustering",
            embedding_batch_size=batch_size,
            segmentation_batch_size=batch_size,
        )
        # Keeps segmentations and vectors in the file's dict, so that further thresholds cost only the clustering.
        self._pipeline.training = True

    def diarize(self, samples: FloatArray, thresholds: Iterable[float]) -> Iterable[Speech]:
        """Turns of (samples,) float32 sound at 16 kHz per threshold; the first takes the time, the others little."""
        file = {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE, "uri": "meeting"}
        for threshold in thresholds:
            self._pipeline.instantiate(
                {
                    "segmentation": {"min_duration_off": 0.0},
                    "clustering": {
                        "method": "centroid",
                        "min_cluster_size": MIN_CLUSTER_SIZE,
                        "threshold": threshold,
                    },
                }
            )
            output: Any = self._pipeline(file)
            yield _speech(output.speaker_diarization)


def load_baseline(weights_dir: Path = DEFAULT_WEIGHTS_DIR, device: str = "cpu") -> Baseline:
    """The pipeline with the registry's segmentation and voice models.

    Raises:
        ModelError: weights are missing or damaged.
    """
    registry = load_registry()
    encoder = load_voice_encoder(require(registry, "voice", weights_dir), device)
    segmentation: Any = Model.from_pretrained(
        require(registry, "segmentation", weights_dir), map_location=torch.device("cpu")
    )
    return Baseline(segmentation.to(torch.device(device)), encoder)


def run_baseline(
    items: Sequence[BenchItem],
    baseline: Baseline,
    load: Load,
    thresholds: Sequence[float] = (PUBLISHED_THRESHOLD,),
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[BaselineRun, ...]:
    """Diarize and score all items with every threshold. Wall time includes reading the file."""
    results: list[list[ItemResult]] = [[] for _ in thresholds]
    for item in items:
        begun = clock()
        samples = load(item.audio)
        duration_s = len(samples) / SAMPLE_RATE
        speed: Speed | None = None
        for found, speech in zip(results, baseline.diarize(samples, thresholds), strict=True):
            speed = speed or Speed(duration_s, clock() - begun)
            found.append(ItemResult(item.session, item.group, speed, score(item.reference, speech, duration_s)))
    return tuple(BaselineRun(at, tuple(found)) for at, found in zip(thresholds, results, strict=True))


def best(runs: Sequence[BaselineRun]) -> BaselineRun:
    """The run with the least DER (no collar) over all its items; of equal ones the first."""

    def wrong_s(run: BaselineRun) -> float:
        diarization = pool("all", run.items).scores.diarization
        return diarization.strict.errors_s if diarization is not None else 0.0

    return min(runs, key=wrong_s)


def _speech(annotation: Any) -> Speech:  # noqa: ANN401 (pyannote has no types)
    turns = (
        SpokenTurn(segment.start, segment.end, str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
    )
    return Speech(tuple(sorted(turns)))


def _kept(sound: FloatArray, weights: FloatArray) -> FloatArray:
    """The samples (kept,) of sound (samples,) whose nearest frame weighs more than one half."""
    frames = np.arange(len(sound)) * len(weights) // len(sound)
    return sound[weights[frames] > 0.5]


def _long_enough(clip: FloatArray) -> FloatArray:
    return np.tile(clip, -(-MIN_CLIP_SAMPLES // len(clip))) if len(clip) < MIN_CLIP_SAMPLES else clip


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.cpu().numpy()
    return array
