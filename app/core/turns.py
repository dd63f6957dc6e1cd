"""Speaker activity -> turns: who speaks from when to when, overlap kept.

In: `Activity` chunks. Out: `Turn`s in the order of their starts, each once no earlier one can come any more.
Hysteresis and minimum lengths are those of pyannote.audio's `Binarize`, done as a stream; a monologue is cut at its
pauses.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from app.core.block import StreamClosed
from app.core.state import BadState, State, array_in, array_out
from app.core.types import Activity, FloatArray, FrameGrid, Turn

DIP_FRAMES = 9
"""Frames over which activity is averaged when the best pause of a monologue is looked for."""


@dataclass(frozen=True, slots=True)
class TurnRules:
    """onset, offset: activity at which speech begins and ends. Silences shorter than `min_off_samples` within one
    speaker's speech are filled; what is then shorter than `min_on_samples` is dropped; what is longer than
    `max_samples` is cut at the deepest dip of the activity in the second half of that span."""

    onset: float = 0.45
    offset: float = 0.4
    min_on_samples: int = 1600
    min_off_samples: int = 4800
    max_samples: int = 320_000


@dataclass(slots=True)
class _Voice:
    """One speaker's state: the turn being built, as frames [start, end); `trace` holds its activity since the start."""

    start: int | None = None
    end: int = 0
    active: bool = False
    trace: FloatArray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))


class TurnFinder:
    """Finds turns in a stream of activity. Memory: `max_samples` of activity per speaker who is speaking."""

    def __init__(self, grid: FrameGrid, rules: TurnRules) -> None:
        self._grid = grid
        self._rules = rules
        self._min_off = -(-rules.min_off_samples // grid.step)
        self._max = rules.max_samples // grid.step
        self._voices: list[_Voice] = []
        self._ready: list[Turn] = []
        self._next = 0
        self._end = 0
        self._closed = False

    def push(self, item: Activity) -> list[Turn]:
        self._check_open()
        while len(self._voices) < item.values.shape[1]:
            self._voices.append(_Voice())
        self._next, self._end = item.first + len(item.values), item.end
        for speaker, voice in enumerate(self._voices):
            if speaker < item.values.shape[1]:
                self._follow(speaker, voice, item.first, item.values[:, speaker])
            self._close(speaker, voice, self._next)
        return self._settled()

    def flush(self) -> list[Turn]:
        self._check_open()
        self._closed = True
        for speaker, voice in enumerate(self._voices):
            voice.active = False
            self._close(speaker, voice, self._next + self._min_off)
        return self._settled()

    def cut(self) -> list[Turn]:
        """Close every turn where the activity ends; the stream goes on."""
        self._check_open()
        for speaker, voice in enumerate(self._voices):
            voice.active = False
            self._close(speaker, voice, self._next + self._min_off)
        self._closed = True
        done = self._settled()
        self._closed = False
        return done

    def preview(self, item: Activity) -> list[Turn]:
        """Turns as they would be if the sound ended behind `item`, without those given out; changes nothing."""
        ahead = copy.deepcopy(self)
        return sorted([*ahead.push(item), *ahead.flush()])

    def waiting(self) -> list[Turn]:
        """Turns that are closed but not given out yet, and open ones as far as they are known now."""
        return sorted([*self._ready, *self.open_turns()])

    def dump(self) -> State:
        """The state as JSON values."""
        return {
            "voices": [[v.start, v.end, v.active, array_out(v.trace)] for v in self._voices],
            "ready": [[t.start, t.end, t.speaker] for t in self._ready],
            "next": self._next,
            "end": self._end,
        }

    def restore(self, state: State) -> None:
        """Go on from `dump`. Raises BadState."""
        try:
            self._voices = [
                _Voice(None if start is None else int(start), int(end), bool(active), array_in(trace, "<f4", 1))
                for start, end, active, trace in state["voices"]
            ]
            self._ready = [Turn(int(start), int(end), int(speaker)) for start, end, speaker in state["ready"]]
            self._next, self._end = int(state["next"]), int(state["end"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("the turn finder's state is damaged") from error

    def open_turns(self) -> list[Turn]:
        """Turns that may still grow, as far as they are known now."""
        return sorted(
            self._turn(voice.start, voice.end, speaker)
            for speaker, voice in enumerate(self._voices)
            if voice.start is not None
        )

    def ripe(self, samples: int) -> list[Turn]:
        """Open turns of which at least so much is known."""
        return [turn for turn in self.open_turns() if turn.end - turn.start >= samples]

    def split(self, speaker: int, at: int) -> int:
        """An open turn begins at sample `at` from now on: what came before was given out elsewhere. Returns where that
        is on the frame grid."""
        voice = self._voices[speaker]
        assert voice.start is not None
        frame = (at - self._grid.offset + self._grid.step // 2) // self._grid.step
        frame = min(max(frame, voice.start), voice.end)
        voice.trace = voice.trace[frame - voice.start :]
        voice.start = frame
        return self._border(frame)

    def _follow(self, speaker: int, voice: _Voice, first: int, values: FloatArray) -> None:
        """Walk over one speaker's activity in a chunk, run by run (a run: frames in which the decision cannot
        change)."""
        above, kept = values >= self._rules.onset, values >= self._rules.offset
        level = above.astype(np.int8) + kept.astype(np.int8)
        begins = np.flatnonzero(np.diff(level, prepend=np.int8(-1)))
        ends = [*begins[1:].tolist(), len(values)]
        for begin, end in zip(begins.tolist(), ends, strict=True):
            on = bool(above[begin]) or (voice.active and bool(kept[begin]))
            if on:
                self._close(speaker, voice, first + begin)
                if voice.start is None:
                    voice.start = first + begin
                    voice.trace = voice.trace[:0]
                voice.end = first + end
            voice.active = on
            if voice.start is not None:
                voice.trace = np.concatenate([voice.trace, values[begin:end]])
                self._cut_monologue(speaker, voice)

    def _cut_monologue(self, speaker: int, voice: _Voice) -> None:
        while voice.start is not None and voice.end - voice.start > self._max:
            late = voice.trace[self._max // 2 : self._max]
            smooth = np.convolve(
                np.pad(late, DIP_FRAMES // 2, mode="edge"), np.full(DIP_FRAMES, 1 / DIP_FRAMES), "valid"
            )
            cut = self._max // 2 + int(np.argmin(np.round(smooth, 3)))
            self._give(self._turn(voice.start, voice.start + cut, speaker))
            voice.trace = voice.trace[cut:]
            voice.start += cut

    def _close(self, speaker: int, voice: _Voice, now: int) -> None:
        """Give out the turn being built once the silence behind it is long enough to be a real one."""
        if voice.start is None or voice.active or now - voice.end < self._min_off:
            return
        self._give(self._turn(voice.start, voice.end, speaker))
        voice.start = None

    def _give(self, turn: Turn) -> None:
        if turn.end - turn.start >= self._rules.min_on_samples:
            self._ready.append(turn)

    def _settled(self) -> list[Turn]:
        """Ready turns that start before anything that may still come.

        A frame's border lies up to half a receptive field behind the sound that the frame came with, so a turn may end
        behind what has arrived: it waits until the sound is there, or is known to end.
        """
        if self._closed:
            bound = self._end + 1
        else:
            opened = (self._border(voice.start) for voice in self._voices if voice.start is not None)
            ahead = (turn.start for turn in self._ready if turn.end > self._end)
            bound = min([self._border(self._next), *opened, *ahead])
        done = sorted(turn for turn in self._ready if turn.start < bound)
        self._ready = [turn for turn in self._ready if turn.start >= bound]
        return [Turn(turn.start, min(turn.end, self._end), turn.speaker) for turn in done if turn.start < self._end]

    def _turn(self, start: int, end: int, speaker: int) -> Turn:
        return Turn(self._border(start), self._border(end), speaker)

    def _border(self, frame: int) -> int:
        """The sample at which a frame begins to stand for the sound: half a step before its centre."""
        return max(0, self._grid.offset + frame * self._grid.step - self._grid.step // 2) if frame else 0

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed("the turn finder was flushed")
