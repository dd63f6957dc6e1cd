"""One window of sound through an engine, to prove that its models work, and to learn what a live stream will cost.

The sound is made here: two voices that hum syllables, harmonics of a pitch through the resonances of vowels.
Diarization finds people in it and the decoder tries to write it, so that it costs about what speech does; noise costs a
third.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import cycle

import numpy as np

from app.core.times import SAMPLE_RATE
from app.core.types import DecodeRequest, DecodeTurn, FloatArray, Urgency, Window
from app.engine.base import Engine
from app.engine.replay import ReplayEngine
from app.errors import EngineFailed

PROBE_LOUDNESS = 0.1
PROBE_SAMPLES = 8 * SAMPLE_RATE
"""Sound to decode."""
_SYLLABLES_PER_S = 4
_FORMANTS_HZ = np.array([[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]])
_VOICES = ((110.0, 4.0), (0.0, 0.5), (210.0, 3.5), (0.0, 0.5))
"""Pitch in Hz (0 = silence) and seconds of each stretch of the sound, over and over."""


async def probe(engine: Engine) -> None:
    """Send one window of hummed syllables through the models, diarized and decoded, to prove that they work.

    An engine that only replays has nothing to prove; nothing of a probe is recorded.

    Raises:
        EngineError: the models failed, or their answers do not have the promised shape.
    """
    target = engine.inner if isinstance(engine, ReplayEngine) else engine
    if target is None:
        return
    spec = target.spec
    sound = hummed(max(spec.window_samples, PROBE_SAMPLES)).copy()
    window = sound[: spec.window_samples]
    # It asks whether the models work, not whether they are busy: so it waits behind nobody.
    local = await target.diarize(Window(0, 0, window, len(window), 0, len(window), Urgency.LIVE))
    if local.activity.shape[1] != spec.max_local_speakers or not np.isfinite(local.activity).all():
        raise EngineFailed(f"the probe's diarization is unusable: activity of shape {local.activity.shape}")
    piece = sound[: min(PROBE_SAMPLES, spec.max_decode_samples)]
    request = DecodeRequest(0, 0, piece, (DecodeTurn(0, len(piece), 0),), urgency=Urgency.LIVE)
    decoded = await target.decode(request)
    if len(decoded.turns) != 1:
        raise EngineFailed(f"the probe's decoding is unusable: {len(decoded.turns)} answers to one turn")


@lru_cache(maxsize=2)
def hummed(samples: int) -> FloatArray:
    """(samples,) float32 at 16 kHz, read-only: two voices in turn that hum syllables, the same ones every time."""
    rng = np.random.default_rng(0)
    stretches: list[FloatArray] = []
    made = 0
    for pitch_hz, seconds in cycle(_VOICES):
        if made >= samples:
            break
        size = min(round(seconds * SAMPLE_RATE), samples - made)
        stretches.append(_voice(pitch_hz, size, rng) if pitch_hz else np.zeros(size, np.float32))
        made += size
    sound: FloatArray = np.concatenate(stretches)
    sound.flags.writeable = False
    return sound


def _voice(pitch_hz: float, samples: int, rng: np.random.Generator) -> FloatArray:
    """(samples,) float32: harmonics of a wavering pitch, as loud as the resonances of a syllable's vowel make them."""
    time_s = np.arange(samples) / SAMPLE_RATE
    syllable = (time_s * _SYLLABLES_PER_S).astype(int)
    formants = _FORMANTS_HZ[rng.integers(0, len(_FORMANTS_HZ), syllable[-1] + 1)][syllable]
    pitch = pitch_hz * (1.0 + 0.1 * np.sin(2 * np.pi * 0.4 * time_s) + 0.03 * np.sin(2 * np.pi * 3.0 * time_s))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    tone = np.zeros(samples)
    for harmonic in range(1, 40):
        level = sum(0.7**k / (1.0 + ((harmonic * pitch - formants[:, k]) / (60.0 + 40.0 * k)) ** 2) for k in range(3))
        tone += np.where(harmonic * pitch < 0.475 * SAMPLE_RATE, level / harmonic**0.3, 0.0) * np.sin(harmonic * phase)
    swell = np.sqrt(np.abs(np.sin(np.pi * _SYLLABLES_PER_S * time_s)))
    tone = swell * (tone + 0.02 * rng.standard_normal(samples))
    peak = float(np.abs(tone).max()) or 1.0
    return (PROBE_LOUDNESS / peak * tone).astype(np.float32)
