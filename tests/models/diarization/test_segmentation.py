from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.diarization.segmentation import (
    SAFE_GLOBALS,
    Segmentation,
    load_segmentation,
    powerset_members,
    segmentation_of,
    speaker_activity,
)
from models.errors import BadCheckpoint
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.store import require

from pyannote.audio.core.task import Problem, Resolution, Specifications  # isort: skip
from pyannote.audio.models.segmentation import PyanNet  # isort: skip
from pyannote.audio.utils.powerset import Powerset  # isort: skip


def tiny_model(**changes: Any) -> PyanNet:
    """A random PyanNet for windows of 2 s and 3 speakers, 2 at once."""
    torch.manual_seed(3)
    model = PyanNet(
        lstm={"hidden_size": 8, "num_layers": 1, "bidirectional": True, "monolithic": True, "dropout": 0.0},
        linear={"hidden_size": 8, "num_layers": 1},
    )
    fields: dict[str, Any] = {
        "problem": Problem.MONO_LABEL_CLASSIFICATION,
        "resolution": Resolution.FRAME,
        "duration": 2.0,
        "classes": ["a", "b", "c"],
        "powerset_max_classes": 2,
        "permutation_invariant": True,
    }
    model.specifications = Specifications(**(fields | changes))
    model.build()
    return model


def checkpoint_of(model: PyanNet) -> dict[str, Any]:
    """What pyannote writes into a checkpoint file."""
    return {
        "state_dict": model.state_dict(),
        "hyper_parameters": {
            key: dict(value) if isinstance(value, dict) else value for key, value in model.hparams.items()
        },
        "pytorch-lightning_version": "2.6.6",
        "pyannote.audio": {
            "versions": {"torch": "2.13.0", "pyannote.audio": "4.0.7"},
            "architecture": {"module": "pyannote.audio.models.segmentation.PyanNet", "class": "PyanNet"},
            "specifications": model.specifications,
        },
    }


@pytest.fixture
def segmentation() -> Segmentation:
    return segmentation_of(tiny_model(), "tiny")


def noise(batch: int, samples: int = 32_000) -> np.ndarray:
    return np.random.default_rng(batch).standard_normal((batch, samples)).astype(np.float32) * 0.1


@pytest.mark.parametrize(("speakers", "at_once"), [(1, 1), (2, 1), (3, 2), (3, 3), (4, 2)])
def test_members_are_those_of_pyannote(speakers: int, at_once: int):
    theirs = Powerset(speakers, at_once)

    assert torch.equal(powerset_members(speakers, at_once), theirs.mapping)


@given(st.integers(0, 10_000))
def test_activity_is_that_of_pyannote_and_a_probability(seed: int):
    scores = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(seed)) * 8.0
    log_probabilities = scores.log_softmax(dim=-1)

    activity = speaker_activity(log_probabilities, powerset_members(3, 2))

    torch.testing.assert_close(activity, Powerset(3, 2)(log_probabilities, soft=True).clamp(0, 1))
    assert activity.min() >= 0.0
    assert activity.max() <= 1.0


def test_sizes_come_from_the_checkpoint(segmentation: Segmentation):
    assert segmentation.local_speakers == 3
    assert segmentation.max_simultaneous == 2
    assert segmentation.geometry.window_samples == 32_000
    assert segmentation.geometry.duration_samples == 991
    assert segmentation.geometry.step_samples == 270
    assert segmentation.geometry.start_samples == 0


def test_activity_of_a_batch(segmentation: Segmentation):
    activity = segmentation(noise(3))

    assert activity.shape == (3, segmentation.geometry.frames, 3)
    assert activity.dtype == np.float32
    assert ((activity >= 0.0) & (activity <= 1.0)).all()


def test_a_window_has_the_same_activity_alone_and_in_a_batch(segmentation: Segmentation):
    waveforms = noise(4)

    together = segmentation(waveforms)

    for row in range(4):
        np.testing.assert_allclose(segmentation(waveforms[row : row + 1])[0], together[row], atol=1e-5)


def test_row_by_row_front_end_equals_that_of_pyannote():
    waveforms = noise(3)
    with torch.inference_mode():
        log_probabilities = tiny_model().eval()(torch.from_numpy(waveforms)[:, None])

    activity = segmentation_of(tiny_model(), "tiny")(waveforms)

    expected = Powerset(3, 2)(log_probabilities, soft=True).numpy()
    np.testing.assert_allclose(activity, expected, atol=1e-5)


def test_shorter_windows_have_fewer_frames(segmentation: Segmentation):
    assert segmentation.min_samples == 991 + 270
    assert segmentation(noise(1, 991 + 270)).shape == (1, 2, 3)
    assert segmentation(noise(1, 991 + 2 * 270 - 1)).shape == (1, 2, 3)
    assert segmentation(noise(1, 991 + 2 * 270)).shape == (1, 3, 3)


@pytest.mark.parametrize("shape", [(32_000,), (1, 1, 32_000), (1, 1260)])
def test_what_is_no_batch_of_windows_is_refused(segmentation: Segmentation, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="at least 1261 samples"):
        segmentation(np.zeros(shape, dtype=np.float32))


def test_silence_is_finite(segmentation: Segmentation):
    assert np.isfinite(segmentation(np.zeros((1, 32_000), dtype=np.float32))).all()


def test_model_without_powerset_is_refused():
    model = tiny_model(problem=Problem.MULTI_LABEL_CLASSIFICATION, powerset_max_classes=None)

    with pytest.raises(BadCheckpoint, match="tiny is no powerset"):
        segmentation_of(model, "tiny")


def test_checkpoint_file_loads(tmp_path: Path):
    path = tmp_path / "model.bin"
    torch.save(checkpoint_of(tiny_model()), path)

    loaded = load_segmentation(path)

    np.testing.assert_allclose(loaded(noise(2)), segmentation_of(tiny_model(), "tiny")(noise(2)), atol=1e-6)


class Evil:
    """Runs code when an unguarded unpickler reads it."""

    def __reduce__(self):
        return (pytest.fail, ("code of a checkpoint was run",))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path):
    path = tmp_path / "model.bin"
    torch.save(checkpoint_of(tiny_model()) | {"callbacks": Evil()}, path)

    with pytest.raises(BadCheckpoint, match="no readable pyannote checkpoint"):
        load_segmentation(path)


def test_foreign_architecture_is_refused(tmp_path: Path):
    path = tmp_path / "model.bin"
    checkpoint = checkpoint_of(tiny_model())
    checkpoint["pyannote.audio"]["architecture"] = {"module": "antigravity", "class": "Model"}
    torch.save(checkpoint, path)

    with pytest.raises(BadCheckpoint, match="antigravity"):
        load_segmentation(path)


def test_tensors_that_do_not_fit_are_named(tmp_path: Path):
    path = tmp_path / "model.bin"
    checkpoint = checkpoint_of(tiny_model())
    del checkpoint["state_dict"]["classifier.bias"]
    torch.save(checkpoint, path)

    with pytest.raises(BadCheckpoint, match=r"classifier\.bias"):
        load_segmentation(path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "model.bin"
    path.write_bytes(content)

    with pytest.raises(BadCheckpoint, match="no readable pyannote checkpoint"):
        load_segmentation(path)


def test_loading_leaves_torch_as_strict_as_before(tmp_path: Path):
    path = tmp_path / "model.bin"
    torch.save(checkpoint_of(tiny_model()), path)

    load_segmentation(path)

    assert not set(SAFE_GLOBALS) & set(torch.serialization.get_safe_globals())


@pytest.mark.weights
def test_real_model_finds_the_two_speakers_and_their_turns(
    sample_waveform: np.ndarray, sample_turns: list[tuple[int, int, str]]
):
    segmentation = load_segmentation(require(load_registry(), "segmentation", DEFAULT_WEIGHTS_DIR))
    geometry = segmentation.geometry
    assert (geometry.window_samples, geometry.frames, segmentation.local_speakers) == (160_000, 589, 3)
    first = 160_000
    window = sample_waveform[first : first + 160_000]

    activity = segmentation(window[None])[0] >= 0.5

    spoken = np.zeros((2, 160_000), dtype=bool)
    for start, end, speaker in sample_turns:
        row = int(speaker == "speaker91")
        spoken[row, max(start - first, 0) : max(end - first, 0)] = True
    centres = geometry.start_samples + geometry.duration_samples // 2 + geometry.step_samples * np.arange(589)
    truth = spoken[:, centres].T
    found = np.flatnonzero(activity.mean(axis=0) > 0.05)
    assert len(found) == 2
    agreement = max(
        (activity[:, [left, right]] == truth).mean() for left, right in (tuple(found), tuple(reversed(found)))
    )
    assert agreement > 0.85
