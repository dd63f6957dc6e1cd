"""Frames -> windows for the diarization model, as live sound comes in: each ends where the sound ends.

In: `Frames`, contiguous. Out: a `Window` for every step of sound. Until the sound is as long as a window, windows begin
at 0 and are padded. Unlike those of `Windower`, which answer for the sound around their centre, live windows answer for
their last `reach` samples: own parts overlap, so speech is heard again as more of it comes in, and a voice is known
while it still speaks. Who counts voices must weigh for that (`TrackerRules.repeat`).
"""

from __future__ import annotations

import numpy as np

from app.core.block import StreamClosed
from app.core.state import BadState, State
from app.core.types import FloatArray, Frames, Window


class LiveWindower:
    """Windows at every `step_samples` of sound. Memory: one window, a step and a push, however small the pushes are."""

    def __init__(self, window_samples: int, step_samples: int, reach_samples: int, grid: int = 1) -> None:
        """Raises ValueError unless 0 < step_samples <= window_samples and the step is a multiple of the grid."""
        if not 0 < step_samples <= window_samples or step_samples % grid:
            raise ValueError(f"step_samples must be a multiple of {grid} up to {window_samples}, not {step_samples}")
        self._window, self._step, self._reach, self._grid = window_samples, step_samples, reach_samples, grid
        self._buffer: FloatArray = np.zeros(0, dtype=np.float32)
        self._buffer_start = 0
        self._pending: list[FloatArray] = []
        self._end = 0
        self._index = 0
        self._steps = 0
        self._closed = False

    @property
    def end(self) -> int:
        """End of the sound so far."""
        return self._end

    def push(self, item: Frames) -> list[Window]:
        """Raises ValueError when frames are not contiguous."""
        self._check_open()
        if item.start != self.end:
            raise ValueError(f"frames start at sample {item.start}, expected {self.end}")
        self._pending.append(item.samples)
        self._end = item.end
        windows: list[Window] = []
        if self._bounds(self._steps)[1] > self._end:
            return windows  # nothing is joined before it is needed: a packet may be one sample
        self._join()
        while (bounds := self._bounds(self._steps))[1] <= self._end:
            windows.append(self._make(*bounds))
            self._steps += 1
        # The window that ends with the sound may begin anywhere behind the last one.
        keep = min(self.end, self._bounds(self._steps)[0] - self._step)
        if keep > self._buffer_start:
            self._buffer, self._buffer_start = self._buffer[keep - self._buffer_start :], keep
        return windows

    def cut(self) -> list[Window]:
        """A window that ends with the sound so far, if the last one did not; the stream goes on."""
        self._check_open()
        last = self._bounds(self._steps - 1)[1] if self._steps else 0
        if self.end <= last:
            return []
        self._join()
        earliest = max(0, self.end - self._window)
        return [self._make(-(-earliest // self._grid) * self._grid, self.end)]

    def flush(self) -> list[Window]:
        """The last window; the stream is closed."""
        windows = self.cut()
        self._closed = True
        return windows

    def after(self, window: Window) -> State:
        """What the windower is once this window, its newest regular one or a cut one, was its last."""
        steps = 0
        while self._bounds(steps)[1] <= window.end:
            steps += self._steps_between(steps, window.end)
        return {"index": window.index + 1, "steps": steps, "from": max(0, self._bounds(steps)[0] - self._step)}

    def restore(self, state: State, start: int) -> None:
        """Go on from `after`, with sound that begins at `start`. Raises BadState."""
        index, steps = state.get("index"), state.get("steps")
        if not isinstance(index, int) or not isinstance(steps, int) or not 0 <= start <= self._bounds(steps)[0]:
            raise BadState("the windower's state is damaged")
        self._index, self._steps, self._buffer_start, self._end = index, steps, start, start

    def _join(self) -> None:
        self._buffer = np.concatenate([self._buffer, *self._pending])
        self._pending = []

    def _steps_between(self, steps: int, end: int) -> int:
        return max(1, (end - self._bounds(steps)[1]) // self._step)

    def _bounds(self, steps: int) -> tuple[int, int]:
        """[start, end) of the window of a step."""
        growing = (self._window - 1) // self._step  # windows that begin at 0 and are shorter than a full one
        if steps < growing:
            return 0, (steps + 1) * self._step
        start = (steps - growing) * self._step
        return start, start + self._window

    def _make(self, start: int, end: int) -> Window:
        sound = self._buffer[start - self._buffer_start : end - self._buffer_start]
        samples = np.zeros(self._window, dtype=np.float32)
        samples[: len(sound)] = sound
        window = Window(self._index, start, samples, len(sound), max(start, end - self._reach), end)
        self._index += 1
        return window

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the windower was flushed")
