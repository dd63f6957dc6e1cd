"""Recipe groups -> windows in memory: simulated sound with its turns, as the session's turn finder would cut them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training.recipe import Group
from models.training.simulate.clips import SAMPLE_RATE, Manifest
from models.training.simulate.conversation import Placed
from models.training.simulate.make import Job, simulate
from models.training.simulate.noise import draw_noise_kind, make_noise
from models.training.simulate.timing import TimingTable

JOIN_SAMPLES = 4_800
"""One speaker's utterances closer than this (0.3 s) are one turn, as in the session's turn rules."""

NOBODY = "nobody"
"""How the speakers of false turns are called."""

_FALSE_TURN_S = (0.4, 3.0)
_NOISE_LEVEL_DB = (-60.0, -25.0)


@dataclass(frozen=True, slots=True)
class WindowTurn:
    """[start, end) in samples of the window; speaker: index in the window by first appearance; text: reference."""

    start: int
    end: int
    speaker: int
    text: str
    overlap: float


@dataclass(frozen=True, slots=True)
class SimulatedWindow:
    """samples: (samples,) float32 at 16 kHz; turns in order of (start, speaker); speakers: names by index."""

    name: str
    group: str
    samples: NDArray[np.float32]
    speakers: tuple[str, ...]
    turns: tuple[WindowTurn, ...]


def make_window(group: Group, manifest: Manifest, table: TimingTable, seed: int, index: int) -> SimulatedWindow:
    """Window number `index` of a group. Raises SimulationError."""
    settings = group.settings(seed)
    name = f"{group.name}-{index:05d}"
    if group.silent:
        return _silent(group, name, round(settings.duration_s * SAMPLE_RATE), np.random.default_rng([seed, index, 1]))
    meeting = simulate(Job(manifest, table, settings, Path()), index)
    order = list(dict.fromkeys(item.speaker for item in sorted(meeting.placed, key=lambda item: item.start)))
    names = tuple(meeting.names[speaker] for speaker in order)
    return SimulatedWindow(name, group.name, meeting.samples, names, turns_of(meeting.placed, order))


def turns_of(placed: Sequence[Placed], order: Sequence[int]) -> tuple[WindowTurn, ...]:
    """One turn per run of a speaker's utterances with pauses below `JOIN_SAMPLES`, numbered by `order`."""
    turns: list[WindowTurn] = []
    for number, speaker in enumerate(order):
        own: list[WindowTurn] = []
        for item in sorted((item for item in placed if item.speaker == speaker), key=lambda item: item.start):
            text = item.utterance.clip.text.strip()
            if own and item.start - own[-1].end < JOIN_SAMPLES:
                joined = f"{own[-1].text}\n{text}"
                own[-1] = dataclasses.replace(own[-1], end=max(item.end, own[-1].end), text=joined)
            else:
                own.append(WindowTurn(item.start, item.end, number, text, 0.0))
        turns.extend(own)
    shares = [_overlap(turn, turns) for turn in turns]
    placed_turns = [dataclasses.replace(turn, overlap=share) for turn, share in zip(turns, shares, strict=True)]
    return tuple(sorted(placed_turns, key=lambda turn: (turn.start, turn.speaker)))


def _overlap(turn: WindowTurn, turns: Sequence[WindowTurn]) -> float:
    """Share of the turn during which someone else speaks."""
    busy = np.zeros(max(1, (turn.end - turn.start) // 160), dtype=bool)
    for other in turns:
        if other.speaker != turn.speaker:
            low, high = (other.start - turn.start) // 160, (other.end - turn.start) // 160
            busy[max(0, low) : max(0, high)] = True
    return round(float(busy.mean()), 4)


def _silent(group: Group, name: str, length: int, rng: np.random.Generator) -> SimulatedWindow:
    """Noise in which nobody speaks, with one or two turns that a diarizer might have found there."""
    kind = draw_noise_kind(rng, with_babble=False)
    level = 10.0 ** (rng.uniform(*_NOISE_LEVEL_DB) / 20.0)
    samples = np.clip(level * make_noise(kind, length, [], rng), -1.0, 1.0).astype(np.float32)
    turns = []
    for speaker in range(int(rng.integers(1, 3))):
        duration = round(rng.uniform(*_FALSE_TURN_S) * SAMPLE_RATE)
        start = int(rng.integers(0, length - duration))
        turns.append(WindowTurn(start, start + duration, speaker, "", 0.0))
    turns.sort(key=lambda turn: turn.start)
    numbered = tuple(dataclasses.replace(turn, speaker=number) for number, turn in enumerate(turns))
    return SimulatedWindow(
        name, group.name, samples, tuple(f"{NOBODY}-{number}" for number in range(len(turns))), numbered
    )
