"""The mixer: a plan, a room and noise in, the sound of the meeting out, sample-aligned with the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from models.training.simulate.clips import FloatArray
from models.training.simulate.conversation import Placed
from models.training.simulate.rooms import Room
from models.training.simulate.speech import Utterance

SPEECH_LEVEL_DB = -24.0
PEAK = 0.95


@dataclass(frozen=True, slots=True)
class Mix:
    """The sound of a meeting, before its channel.

    samples: (samples,) float32 mono 16 kHz, within +-`PEAK`
    stems: (speakers, samples) float32, each speaker alone in the room; they and the noise add up to `samples`. Empty
        (0, samples) where stems were not asked for
    """

    samples: FloatArray
    stems: FloatArray


def mix(
    placed: Sequence[Placed],
    length: int,
    gains_db: Sequence[float],
    room: Room | None,
    noise: tuple[FloatArray, float] | None,
    stems: bool = False,
) -> Mix:
    """Put every utterance in its place.

    Args:
        placed: the plan; utterance speech begins at exactly `start` in the mix (the direct sound's arrival).
        length: samples of the meeting.
        gains_db: level of each speaker against the others.
        room: a response per speaker; None = dry.
        noise: (length,) of unit RMS, and the ratio in dB of the speech's level while anyone speaks to the noise's.
    """
    out = np.zeros(length, dtype=np.float32)
    alone = np.zeros((len(gains_db) if stems else 0, length), dtype=np.float32)
    for item in placed:
        gain = 10.0 ** (gains_db[item.speaker] / 20.0) / speech_rms(item.utterance)
        sound = item.utterance.samples * np.float32(gain)
        begin = item.start - item.utterance.lead
        if room is not None:
            sound = oaconvolve(sound, room.responses[item.speaker]).astype(np.float32)
            begin -= room.lead
        _add(out, sound, begin)
        if stems:
            _add(alone[item.speaker], sound, begin)
    level = _level_while_speaking(out, placed)
    if noise is not None:
        samples, snr_db = noise
        out += samples * np.float32(level * 10.0 ** (-snr_db / 20.0))
    peak = float(np.max(np.abs(out), initial=0.0))
    scale = min(10.0 ** (SPEECH_LEVEL_DB / 20.0) / level, PEAK / peak if peak > 0 else math.inf)
    out *= np.float32(scale)
    alone *= np.float32(scale)
    return Mix(out, alone)


def speech_rms(utterance: Utterance) -> float:
    """RMS of the utterance's samples within its speech spans."""
    parts = [utterance.samples[utterance.lead + start : utterance.lead + end] for start, end in utterance.spans]
    power = float(np.mean(np.concatenate(parts).astype(np.float64) ** 2))
    return math.sqrt(power) if power > 0 else 1.0


def _level_while_speaking(samples: FloatArray, placed: Sequence[Placed]) -> float:
    active = np.zeros(len(samples), dtype=np.bool_)
    for item in placed:
        for start, end in item.spans():
            active[start:end] = True
    power = float(np.mean(samples[active].astype(np.float64) ** 2)) if active.any() else 0.0
    return math.sqrt(power) if power > 0 else 1.0


def _add(out: FloatArray, sound: FloatArray, begin: int) -> None:
    first, last = max(begin, 0), min(begin + len(sound), len(out))
    if last > first:
        out[first:last] += sound[first - begin : last - begin]
