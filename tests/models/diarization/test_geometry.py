from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.diarization.geometry import FrameGeometry

SEGMENTATION_3 = FrameGeometry(
    start_samples=0, duration_samples=991, step_samples=270, frames=589, window_samples=160_000
)


def test_cell_surrounds_the_centre_of_its_frame():
    centre = 495 + 10 * 270

    start, end = SEGMENTATION_3.cells(10, 11)

    assert (start, end) == (360 + 2700, 360 + 2970)
    assert start <= centre < end


@given(st.integers(0, 588), st.integers(0, 588))
def test_cells_of_neighbouring_runs_touch_without_overlap(first: int, second: int):
    first, second = sorted((first, second))

    before, after = SEGMENTATION_3.cells(first, second), SEGMENTATION_3.cells(second, 589)

    assert before[1] == after[0]
    assert before[1] - before[0] == 270 * (second - first)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_cells_stay_in_the_window(first: int, end: int):
    start, stop = SEGMENTATION_3.cells(first, max(first, end))

    assert 0 <= start <= stop <= 160_000


@pytest.mark.parametrize("field", ["duration_samples", "step_samples", "frames", "window_samples"])
def test_lengths_are_positive(field: str):
    values = {"start_samples": 0, "duration_samples": 9, "step_samples": 3, "frames": 5, "window_samples": 30}

    with pytest.raises(ValueError, match="positive"):
        FrameGeometry(**(values | {field: 0}))


def test_first_frame_lies_in_the_window():
    with pytest.raises(ValueError, match="before its window"):
        FrameGeometry(start_samples=-1, duration_samples=9, step_samples=3, frames=5, window_samples=30)
