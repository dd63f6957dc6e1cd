"""Whose voice is whose: the voice of every speaker of a transcript, and who of known people each of them is. Pure.

Recordings and live captions name people by the same rule. A speaker's voice is the mean of the voice vectors of the
runs in which the speaker talks alone, weighted by length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from app.core.types import FloatArray, Turn, VoiceRun


def speaker_voices(runs: Iterable[VoiceRun], turns: Sequence[Turn]) -> dict[int, tuple[FloatArray, int]]:
    """Speaker -> ((dim,) float32 L2-normalised voice, samples behind it). Runs that no turn covers are left out."""
    if not turns:
        return {}
    starts, ends, speakers = (
        np.array(column) for column in zip(*((t.start, t.end, t.speaker) for t in turns), strict=True)
    )
    sums: dict[int, tuple[FloatArray, int]] = {}
    for run in runs:
        shared = np.clip(np.minimum(ends, run.end) - np.maximum(starts, run.start), 0, None)
        if not shared.any():
            continue
        speaker = int(np.argmax(np.bincount(speakers, weights=shared)))
        length = run.end - run.start
        total, duration = sums.get(speaker, (np.zeros_like(run.voice), 0))
        sums[speaker] = (total + run.voice * np.float32(length), duration + length)
    return {
        speaker: ((total / norm).astype(np.float32), duration)
        for speaker, (total, duration) in sorted(sums.items())
        if (norm := float(np.linalg.norm(total))) > 0
    }


def recognised(voices: Mapping[int, FloatArray], known: Sequence[FloatArray], threshold: float) -> dict[int, int]:
    """Speaker -> index of the known voice that it is: cosine of at least `threshold`, the likest pairs first, every
    person once; whoever is like nobody has no entry.

    voices: (dim,) float32 of any length each; known: (dim,) float32, L2-normalised. Voices of another model (another
    dim) fit nobody.
    """
    pairs = sorted(
        (
            (float(voice @ theirs) / norm, speaker, number)
            for speaker, voice in voices.items()
            if (norm := float(np.linalg.norm(voice))) > 0
            for number, theirs in enumerate(known)
            if theirs.shape == voice.shape
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    found: dict[int, int] = {}
    for likeness, speaker, number in pairs:
        if likeness >= threshold and speaker not in found and number not in found.values():
            found[speaker] = number
    return found
