"""Runs hold one voice only, lie in the window's own part, and are neither too short nor too long."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.diarization.geometry import FrameGeometry
from models.diarization.runs import Run, RunRules, clean_runs

GEOMETRY = FrameGeometry(0, 990, 270, 589, 160_000)
RULES = RunRules()
ALL = (0, 160_000)


def activity(*spans: tuple[int, int, int]) -> np.ndarray:
    track = np.zeros((589, 3), dtype=np.float32)
    for speaker, first, last in spans:
        track[first:last, speaker] = 1.0
    return track


def runs(*spans: tuple[int, int, int], own: tuple[int, int] = ALL) -> list[Run]:
    return clean_runs(activity(*spans), GEOMETRY, own, RULES)


def test_overlap_is_nobodys_run() -> None:
    found = runs((0, 0, 100), (1, 60, 160))
    assert [(r.local_speaker, r.start // 270, r.end // 270) for r in found] == [(0, 1, 61), (1, 101, 161)]


def test_a_short_silence_does_not_end_a_run_but_another_voice_does() -> None:
    assert len(runs((0, 0, 60), (0, 70, 130))) == 1
    assert len(runs((0, 0, 60), (0, 90, 150))) == 2
    assert [r.local_speaker for r in runs((0, 0, 60), (1, 62, 66), (0, 70, 130))] == [0, 0]


def test_each_run_belongs_to_one_window() -> None:
    span = (0, 200, 300)
    middle = (runs(span)[0].start + runs(span)[0].end) // 2
    assert len(runs(span, own=(0, middle))) == 0
    assert len(runs(span, own=(middle, 160_000))) == 1


@given(st.integers(0, 2**32 - 1), st.integers(0, 160_000), st.integers(0, 160_000))
@settings(deadline=None, max_examples=60)
def test_runs_hold_one_voice_only(seed: int, a: int, b: int) -> None:
    rng = np.random.default_rng(seed)
    track = np.repeat(rng.random((31, 3)), 19, axis=0).astype(np.float32)
    own = (min(a, b), max(a, b))
    for run in clean_runs(track, GEOMETRY, own, RULES):
        assert RULES.min_samples <= run.end - run.start <= RULES.max_samples
        assert own[0] <= (run.start + run.end) // 2 < own[1]
        centres = 495 + np.arange(len(track)) * 270
        inside = track[(centres >= run.start) & (centres < run.end)] >= RULES.active
        others = np.delete(inside, run.local_speaker, axis=1)
        assert not others.any()
