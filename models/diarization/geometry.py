"""Where the frames of a segmentation model lie in the samples of its window.

Input: nothing but the numbers that the segmentation model states about itself. Output: the sample positions of its
frames, used to cut clean speech out of a window and to turn frame activity into turns. Pure: no torch, no numpy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrameGeometry:
    """Frames of one window; frame ``i`` sees samples ``[start + i * step, start + i * step + duration)``.

    Neighbouring receptive fields overlap, so that each frame also has a *cell*: the ``step_samples`` samples around
    the centre of its receptive field. The cells of all frames tile the window without overlap.

    Attributes:
        start_samples: first sample that frame 0 sees.
        duration_samples: samples that one frame sees.
        step_samples: samples from one frame to the next.
        frames: number of frames of a full window.
        window_samples: length of a full window.
    """

    start_samples: int
    duration_samples: int
    step_samples: int
    frames: int
    window_samples: int

    def __post_init__(self) -> None:
        if min(self.duration_samples, self.step_samples, self.frames, self.window_samples) <= 0:
            raise ValueError(f"a frame geometry needs positive lengths, got {self}")
        if self.start_samples < 0:
            raise ValueError(f"the first frame starts before its window: {self}")

    @property
    def first_cell_start_samples(self) -> int:
        """First sample of the cell of frame 0."""
        return self.start_samples + (self.duration_samples - self.step_samples) // 2

    def cells(self, first_frame: int, end_frame: int) -> tuple[int, int]:
        """Samples ``[start, end)`` covered by the cells of frames ``[first_frame, end_frame)``, kept in the window."""
        origin = self.first_cell_start_samples
        start = origin + first_frame * self.step_samples
        end = origin + end_frame * self.step_samples
        return max(0, min(start, self.window_samples)), max(0, min(end, self.window_samples))
