"""Second step of the simulator: a clip's decoded sound in, the clip trimmed to its speech with exact speech spans out.

References are only as honest as their boundaries, so silence around the words is cut off, and a pause of half a second
or more inside a clip ends a speech span. Detection is by energy: clips hold one close speaker, mostly in quiet, where
energy against the clip's own speech level and noise floor is dependable. Where the two lie too close together to tell
them apart (a noisy clip), the clip's whole trimmed length counts as one span.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.simulate.clips import SAMPLE_RATE, Clip, FloatArray, decode_audio
from models.training.simulate.errors import ClipUnreadable

FRAME_SAMPLES = SAMPLE_RATE // 100
INTERNAL_PAUSE_SAMPLES = SAMPLE_RATE // 2

_SMOOTH_FRAMES = 3
_EDGE_FRAMES = 3
_WEAK_FRAMES = 15
_MIN_SPEECH_FRAMES = 6
_MIN_ISOLATED_FRAMES = 12
_ISOLATED_PAUSE_FRAMES = 25
_SPEECH_PERCENTILE, _NOISE_PERCENTILE = 95.0, 5.0
_CORE_ABOVE_NOISE_DB, _CORE_BELOW_SPEECH_DB = 12.0, (20.0, 26.0)
_WEAK_BELOW_CORE_DB, _WEAK_ABOVE_NOISE_DB = 8.0, 6.0
_MIN_RANGE_DB = 22.0
_SILENCE_DB = -75.0
_LEAD_SAMPLES, _TAIL_SAMPLES, _FADE_SAMPLES = SAMPLE_RATE // 10, SAMPLE_RATE // 4, SAMPLE_RATE // 50

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A clip ready to be placed.

    samples: (samples,) float32 mono 16 kHz: the speech with a short faded margin on both sides
    lead: samples of margin before the speech begins
    spans: speech within the utterance, half-open [start, end) in samples counted from the beginning of the speech;
        the first starts at 0; spans lie at least `INTERNAL_PAUSE_SAMPLES` apart
    """

    clip: Clip
    samples: FloatArray
    lead: int
    spans: tuple[tuple[int, int], ...]

    @property
    def length(self) -> int:
        """Samples from the first to the last sample of speech."""
        return self.spans[-1][1]


def load_utterance(clip: Clip) -> Utterance:
    """Decode, trim and measure a clip.

    Raises:
        ClipUnreadable: it cannot be decoded, or holds no speech.
    """
    samples = decode_audio(clip.path)
    spans = speech_spans(samples)
    if not spans:
        raise ClipUnreadable(f"clip {clip.path} holds no speech")
    first, last = spans[0][0], spans[-1][1]
    begin, end = max(0, first - _LEAD_SAMPLES), min(len(samples), last + _TAIL_SAMPLES)
    shifted = tuple((start - first, stop - first) for start, stop in spans)
    sound = _fade(samples[begin:end])
    sound.setflags(write=False)
    return Utterance(clip, sound, first - begin, shifted)


def speech_spans(samples: FloatArray) -> tuple[tuple[int, int], ...]:
    """Find speech by energy in a clean single-speaker recording.

    Args:
        samples: (samples,) float32 mono 16 kHz.

    Returns:
        Half-open spans in samples, in order, at least `INTERNAL_PAUSE_SAMPLES` apart; empty where there is no sound.
    """
    levels = frame_levels_db(samples)
    if len(levels) == 0:
        return ()
    speech, noise = np.percentile(levels, [_SPEECH_PERCENTILE, _NOISE_PERCENTILE])
    if speech < _SILENCE_DB:
        return ()
    limits = (speech - _CORE_BELOW_SPEECH_DB[1], speech - _CORE_BELOW_SPEECH_DB[0])
    threshold = float(np.clip(noise + _CORE_ABOVE_NOISE_DB, *limits))
    runs = _without_clicks(_runs(levels > threshold))
    if not runs:
        return ()
    weak = levels > max(threshold - _WEAK_BELOW_CORE_DB, noise + _WEAK_ABOVE_NOISE_DB)
    widened = [_widened(start, end, weak) for start, end in runs]
    if speech - noise < _MIN_RANGE_DB:
        widened = [(widened[0][0], widened[-1][1])]
    joined = _joined(widened, INTERNAL_PAUSE_SAMPLES // FRAME_SAMPLES)
    return tuple((start * FRAME_SAMPLES, min(end * FRAME_SAMPLES, len(samples))) for start, end in joined)


def frame_levels_db(samples: FloatArray) -> NDArray[np.float64]:
    """RMS level in dB of full scale per 10 ms, smoothed over 30 ms: (frames,); a last part frame is left out."""
    count = len(samples) // FRAME_SAMPLES
    if count == 0:
        return np.zeros(0)
    frames = samples[: count * FRAME_SAMPLES].astype(np.float64).reshape(count, FRAME_SAMPLES)
    power = np.mean(frames**2, axis=1)
    window = np.ones(_SMOOTH_FRAMES)
    smooth = np.convolve(power, window, mode="full")[1 : count + 1] / np.convolve(np.ones(count), window)[1 : count + 1]
    return np.asarray(10.0 * np.log10(smooth + 1e-12))


def _runs(active: BoolArray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], active, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _widened(start: int, end: int, weak: BoolArray) -> tuple[int, int]:
    """Take in weak sounds next to a run (fricatives, fading vowels) as far as they reach unbroken, and an edge."""
    first, last = start, end
    while first > max(0, start - _WEAK_FRAMES) and weak[first - 1]:
        first -= 1
    while last < min(len(weak), end + _WEAK_FRAMES) and weak[last]:
        last += 1
    return max(0, first - _EDGE_FRAMES), min(len(weak), last + _EDGE_FRAMES)


def _without_clicks(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drop bursts too short for speech: very short ones anywhere, short ones where silence surrounds them."""
    near = _joined(runs, 5)
    kept: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(near):
        before = start - near[index - 1][1] if index else _ISOLATED_PAUSE_FRAMES
        after = near[index + 1][0] - end if index + 1 < len(near) else _ISOLATED_PAUSE_FRAMES
        isolated = min(before, after) >= _ISOLATED_PAUSE_FRAMES
        if end - start >= (_MIN_ISOLATED_FRAMES if isolated else _MIN_SPEECH_FRAMES):
            kept.append((start, end))
    return kept


def _joined(runs: list[tuple[int, int]], pause: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] < pause:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _fade(samples: FloatArray) -> FloatArray:
    faded = samples.copy()
    length = min(_FADE_SAMPLES, len(faded) // 2)
    if length:
        ramp = np.linspace(0.0, 1.0, length, endpoint=False, dtype=np.float32)
        faded[:length] *= ramp
        faded[-length:] *= ramp[::-1]
    return faded
