"""Labelled windows -> the meeting's speaker activity, one value per frame and speaker.

In: `Labelled` windows in the order of time. Out: `Activity` chunks that no later window can change.
Each frame is the weighted mean of all windows that saw it, in powerset-decoded form (probability that this speaker is
active). Frames near a window's border are judged with little context and weigh less.

With `right_samples` a frame is given out as soon as some window saw that much sound behind it, without waiting for the
later windows that would see it too: the rule of live captions, where ten seconds are too late. A window has no say
then about a speaker found after it: it took the newcomer's first words for somebody else's.
"""

from __future__ import annotations

import numpy as np

from app.core.block import StreamClosed
from app.core.state import BadState, State, array_in, array_out
from app.core.types import Activity, FloatArray, FrameGrid, Labelled

EDGE_WEIGHT = 0.1
"""Weight of the outermost frames of a window, rising linearly to 1 over the first and last `edge` frames."""

UNSURE_WEIGHT = 0.02
"""What a guess at who speaks counts, beside a window that knows."""


class Timeline:
    """Averages overlapping labelled windows. Memory: the frames of about one window."""

    def __init__(self, grid: FrameGrid, edge_samples: int, right_samples: int | None = None) -> None:
        self._grid = grid
        self._right = right_samples
        self._edge = max(1, edge_samples // grid.step)
        self._first = 0
        self._sum: FloatArray = np.zeros((0, 0), dtype=np.float32)
        self._weight: FloatArray = np.zeros((0, 0), dtype=np.float32)
        self._end = 0
        self._given = 0
        self._closed = False

    def push(self, item: Labelled, hold: int | None = None) -> list[Activity]:
        """Frames before the window's start are final now, or with `right_samples` those that far before its end, and
        before the sample `hold`. Raises ValueError when the window is off the grid or goes back."""
        self._check_open()
        start, remainder = divmod(item.start, self._grid.step)
        if self._right is not None and not remainder:
            self._add(item)
            self._end = max(self._end, item.end)
            border = item.end - self._right
            return self._until(border if hold is None else min(border, hold))
        if remainder or start < self._first:
            raise ValueError(f"window at sample {item.start} is off the frame grid or out of order")
        done = self._take(start - self._first, item.start)
        self._add(item)
        self._end = max(self._end, item.end)
        return done

    def cut(self) -> list[Activity]:
        """Give out all frames of the sound so far; the stream goes on."""
        self._check_open()
        return self._until(self._end)

    def tentative(self) -> Activity:
        """The frames not given out yet, as they look now."""
        frames = min(self._frames_before(self._end), len(self._weight))
        weight = np.maximum(self._weight[:frames], np.float32(1e-9))
        return Activity(self._first, (self._sum[:frames] / weight).astype(np.float32), self._end)

    def dump(self) -> State:
        """The state as JSON values."""
        return {
            "first": self._first,
            "end": self._end,
            "given": self._given,
            "sum": array_out(self._sum),
            "weight": array_out(self._weight),
        }

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._first, self._end, self._given = int(state["first"]), int(state["end"]), int(state["given"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("the timeline's state is damaged") from error
        self._sum, self._weight = array_in(state.get("sum"), "<f4", 2), array_in(state.get("weight"), "<f4", 2)

    def flush(self) -> list[Activity]:
        if self._right is not None:
            done = self.cut()
            self._closed = True
            return done
        self._check_open()
        self._closed = True
        # Padding behind the end of the sound is not part of the meeting.
        frames = -(-max(0, self._end - self._first * self._grid.step) // self._grid.step)
        return self._take(min(frames, len(self._weight)), self._end)

    def _until(self, end: int) -> list[Activity]:
        return self._take(self._frames_before(end), end)

    def _frames_before(self, sample: int) -> int:
        """How many of the frames kept are centred before a sample, or lie in the sound's last bit."""
        return max(0, -(-sample // self._grid.step) - self._first)

    def _take(self, frames: int, end: int) -> list[Activity]:
        frames = min(frames, len(self._weight))
        if end <= self._given or frames <= 0:
            return []
        weight = np.maximum(self._weight[:frames], np.float32(1e-9))
        chunk = Activity(self._first, (self._sum[:frames] / weight).astype(np.float32), end)
        self._sum, self._weight = self._sum[frames:], self._weight[frames:]
        self._first += frames
        self._given = end
        return [chunk]

    def _add(self, item: Labelled) -> None:
        values = item.values
        if self._right is not None:  # padding behind the live end is not silence: its sound is still to come
            values = values[: max(0, (item.end - item.start - self._grid.offset) // self._grid.step + 1)]
        frames, speakers = values.shape
        offset = item.start // self._grid.step - self._first
        self._grow(max(0, offset + frames), speakers)
        ramp = (np.arange(frames, dtype=np.float32) + 1) / self._edge
        weight = np.clip(np.minimum(ramp, ramp[::-1]), EDGE_WEIGHT, 1.0).astype(np.float32)
        if item.start == 0:
            weight[: frames // 2] = 1.0  # nothing came before the meeting: its first frames are no worse than others
        if offset < 0:  # its first frames were given out already
            weight, values, offset = weight[-offset:], values[-offset:], 0
        if self._right is None:
            self._weight[offset : offset + len(weight)] += weight[:, None]
            self._sum[offset : offset + len(weight), :speakers] += weight[:, None] * values
            return
        says = np.repeat(weight[:, None], speakers, axis=1)
        if item.unsure is not None:
            says[item.unsure[frames - len(weight) : frames]] *= UNSURE_WEIGHT
        self._weight[offset : offset + len(weight), :speakers] += says
        self._sum[offset : offset + len(weight), :speakers] += says * values

    def _grow(self, frames: int, speakers: int) -> None:
        rows = max(0, frames - len(self._weight))
        columns = max(0, speakers - self._sum.shape[1])
        self._sum = np.pad(self._sum, ((0, rows), (0, columns)))
        known = self._weight.shape[1]
        self._weight = np.pad(self._weight, ((0, rows), (0, columns)))
        if self._right is None and known:
            self._weight[:, known:] = self._weight[:, :1]

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the timeline was flushed")
