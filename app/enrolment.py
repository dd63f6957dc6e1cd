"""A sample of one person's speech -> the voice by which that person is known from then on.

The sample goes the way of every recording up to its speakers: windows, diarization, one clustering over all of it. The
voice is the mean of the voice vectors where the person talks alone, weighted by length, as in `app/core/naming.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.audio import open_recording
from app.core.recluster import ReclusterRules, recluster
from app.core.times import SAMPLE_RATE
from app.core.types import FloatArray, FrameGrid, LocalDiarization, SpeakerCount, VoiceRun, Window
from app.core.windows import Windower
from app.errors import AudioTooLong, SampleSilent, SampleTooShort, SeveralVoices
from app.pipeline import in_order
from app.recordings import Workplace


@dataclass(frozen=True, slots=True)
class SampleRules:
    """Times in samples at 16 kHz, shares of all speech that is heard alone.

    least_samples: speech alone that a voice needs; others_samples, others_share: somebody else may have less than the
    larger of the two (a cough, a word from the back)
    """

    max_duration_s: float = 300.0
    least_samples: int = 3 * SAMPLE_RATE
    others_samples: int = SAMPLE_RATE
    others_share: float = 0.1
    max_in_flight: int = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sample gave. voice: (dim,) float32, L2-normalised; speech: what it was learnt from; duration: of all."""

    voice: FloatArray
    speech: int
    duration: int


async def voice_of(place: Workplace, path: Path, rules: SampleRules | None = None) -> Sample:
    """The voice of the one person in a file.

    Raises SampleSilent, SampleTooShort, SeveralVoices, and what the recording and the engine raise.
    """
    rules = rules or SampleRules()
    longest_s = min(rules.max_duration_s, place.limits.max_duration_s)
    try:
        windows = await asyncio.to_thread(
            _windows, replace(place, limits=replace(place.limits, max_duration_s=longest_s)), path
        )
    except AudioTooLong as error:
        raise AudioTooLong(f"a sample of a voice is at most {longest_s:g} s long") from error
    found = [it async for it in in_order(_given(windows), place.engine.diarize, rules.max_in_flight)]
    runs = _one_voice(await asyncio.to_thread(_by_speaker, found, place.engine.spec.grid), rules)
    total = sum((run.voice * np.float32(run.end - run.start) for run in runs), np.zeros_like(runs[0].voice))
    voice = (total / np.linalg.norm(total)).astype(np.float32)
    return Sample(voice, _length(runs), windows[-1].own_end)


def _windows(place: Workplace, path: Path) -> list[Window]:
    """All windows, side by side; a sample is short enough to be in memory."""
    spec = place.engine.spec
    windower = Windower(
        spec.window_samples, spec.window_samples // 2 // spec.grid.step * spec.grid.step, spec.grid.step
    )
    with open_recording(path, place.limits) as recording:
        found = [window for frames in recording.frames() for window in windower.push(frames)]
    return [*found, *windower.flush()]


async def _given(windows: list[Window]) -> AsyncIterator[Window]:
    for window in windows:
        yield window


def _by_speaker(found: list[LocalDiarization], grid: FrameGrid) -> list[list[VoiceRun]]:
    """The runs of every speaker, who speaks most first."""
    speakers: dict[int, list[VoiceRun]] = {}
    for local, labels in zip(found, recluster(found, grid, SpeakerCount(), ReclusterRules()), strict=True):
        for run, speaker in zip(local.runs, labels, strict=True):
            speakers.setdefault(speaker, []).append(run)
    return sorted(speakers.values(), key=_length, reverse=True)


def _one_voice(speakers: list[list[VoiceRun]], rules: SampleRules) -> list[VoiceRun]:
    lengths = [_length(runs) for runs in speakers]
    if not lengths:
        raise SampleSilent("nobody speaks in the sample", param="file")
    if len(lengths) > 1 and sum(lengths[1:]) >= max(rules.others_samples, rules.others_share * sum(lengths)):
        raise SeveralVoices(f"{len(lengths)} people speak in the sample; it must be one", param="file")
    if lengths[0] < rules.least_samples:
        raise SampleTooShort(
            f"the sample has {lengths[0] / SAMPLE_RATE:.1f} s of one person's speech; "
            f"at least {rules.least_samples / SAMPLE_RATE:g} s are needed",
            param="file",
        )
    return speakers[0]


def _length(runs: list[VoiceRun]) -> int:
    return sum(run.end - run.start for run in runs)
