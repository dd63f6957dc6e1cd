"""Whose voice is whose: the voice of every speaker of a transcript, and the names of those that are known. Pure.

A speaker's voice is the mean of the voice vectors of the runs in which the speaker talks alone, weighted by length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from app.core.types import FloatArray, Turn, VoiceRun
from app.jobs.types import KnownSpeaker


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


def names_of(
    voices: Mapping[int, tuple[FloatArray, int]],
    known: Sequence[tuple[KnownSpeaker, FloatArray]],
    threshold: float,
) -> dict[int, str]:
    """Names for the speakers that sound like a known one: cosine of at least `threshold`, the likest pairs first, every
    person once. Voices of another model (another dim) fit nobody."""
    pairs = sorted(
        (
            (float(voice @ theirs), speaker, number)
            for speaker, (voice, _) in voices.items()
            for number, (_, theirs) in enumerate(known)
            if theirs.shape == voice.shape
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    names: dict[int, str] = {}
    used: set[int] = set()
    for likeness, speaker, number in pairs:
        if likeness >= threshold and speaker not in names and number not in used:
            names[speaker] = known[number][0].name
            used.add(number)
    return names
