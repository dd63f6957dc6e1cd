"""The end pass: everybody gets one name over the whole recording, and two voices heard at once are two people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import recluster as module
from app.core.labelling import to_labelled
from app.core.recluster import ReclusterRules, recluster
from app.core.types import LocalDiarization, SpeakerCount
from tests.core.strategies import GRID, local_windows, meetings, voices

# The synthetic frames are short: a tenth of the default lengths.
RULES = ReclusterRules(noise_samples=100, min_run_samples=2_000, min_speaker_samples=3_000)


def alternating(order: list[int], length: int = 30) -> np.ndarray:
    truth = np.zeros((len(order) * length, max(order) + 1), dtype=bool)
    for i, speaker in enumerate(order):
        truth[i * length : (i + 1) * length - 4, speaker] = True
    return truth


def names_of(windows: list[LocalDiarization], count: SpeakerCount | None = None) -> set[int]:
    return {n for row in recluster(windows, GRID, count or SpeakerCount(), RULES) for n in row}


@given(meetings(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_every_run_is_named_by_first_appearance(truth: np.ndarray, seed: int) -> None:
    windows = local_windows(truth, np.random.default_rng(seed))
    rows = recluster(windows, GRID, SpeakerCount(), RULES)
    assert [len(row) for row in rows] == [len(w.runs) for w in windows]
    cells = sorted((r.start, n) for w, row in zip(windows, rows, strict=True) for r, n in zip(w.runs, row, strict=True))
    seen = list(dict.fromkeys(n for _, n in cells))
    assert seen == list(range(len(seen)))


@pytest.mark.parametrize("order", [[0, 1, 0, 1], [0, 1, 2, 0, 1, 2, 0], [0, 1, 2, 3, 4, 0, 3, 1], [0, 0, 0]])
def test_finds_the_people_and_when_they_speak(order: list[int]) -> None:
    truth = alternating(order)
    windows = local_windows(truth, np.random.default_rng(3))
    rows = recluster(windows, GRID, SpeakerCount(), RULES)
    for item in to_labelled(windows, rows, GRID):
        part = truth[item.start // GRID.step :][: len(item.values)]
        assert np.array_equal(item.values[: len(part)] >= 0.5, part)


def test_one_local_number_for_two_people_is_taken_apart() -> None:
    """Within a window the model may give two people who never overlap one number; their voices tell."""
    truth = alternating([0, 1, 0, 1, 0, 1])
    windows = []
    for w in local_windows(truth, np.random.default_rng(3)):
        merged = np.zeros_like(w.activity)
        merged[:, 0] = w.activity.max(axis=1)
        runs = tuple(type(r)(0, r.start, r.end, r.voice) for r in w.runs)
        windows.append(LocalDiarization(w.start, w.end, merged, runs))
    for item in to_labelled(windows, recluster(windows, GRID, SpeakerCount(), RULES), GRID):
        part = truth[item.start // GRID.step :][: len(item.values)]
        assert np.array_equal(item.values[: len(part)] >= 0.5, part)


def test_overlap_goes_to_two_people() -> None:
    truth = alternating([0, 1, 0, 1])
    truth[20:35] = True
    windows = local_windows(truth, np.random.default_rng(3))
    for item in to_labelled(windows, recluster(windows, GRID, SpeakerCount(), RULES), GRID):
        part = truth[item.start // GRID.step :][: len(item.values)]
        assert np.array_equal(item.values[: len(part)] >= 0.5, part)


@pytest.mark.parametrize(("count", "expected"), [(SpeakerCount(exact=2), 2), (SpeakerCount(max=3), 3)])
def test_the_count_asked_for_is_kept(count: SpeakerCount, expected: int) -> None:
    windows = local_windows(alternating([0, 1, 2, 3, 0, 1, 2, 3]), np.random.default_rng(3))
    assert len(names_of(windows, count)) == expected


@pytest.mark.parametrize("count", [SpeakerCount(min=2), SpeakerCount(exact=2)])
def test_a_minimum_splits_what_sounds_alike(count: SpeakerCount) -> None:
    windows = local_windows(alternating([0, 0, 0, 0]), np.random.default_rng(3))
    assert len(names_of(windows)) == 1
    assert len(names_of(windows, count)) == 2


def alike(truth: np.ndarray) -> list[LocalDiarization]:
    """The windows of a meeting whose people all sound the same but for the noise."""
    windows = local_windows(truth, np.random.default_rng(3))
    voice = windows[0].runs[0].voice
    rng = np.random.default_rng(4)
    return [
        LocalDiarization(
            w.start,
            w.end,
            w.activity,
            tuple(type(r)(r.local_speaker, r.start, r.end, near(voice, rng)) for r in w.runs),
        )
        for w in windows
    ]


def near(voice: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = voice + rng.normal(scale=0.02, size=voice.shape)
    return (noisy / np.linalg.norm(noisy)).astype(np.float32)


@pytest.mark.parametrize(("overlap", "people"), [(0, 1), (1, 1), (12, 2)])
def test_two_who_speak_at_once_are_two_however_alike(overlap: int, people: int) -> None:
    truth = alternating([0, 1, 0, 1, 0, 1])
    for turn in range(1, 6):
        truth[turn * 30 - overlap : turn * 30] = [True, True]
        truth[turn * 30 - 4 : turn * 30 - overlap] = False
    rules = replace(RULES, min_together_samples=5_000)
    windows = alike(truth)
    assert len({n for row in recluster(windows, GRID, SpeakerCount(), rules) for n in row}) == people
    assert {n for row in recluster(windows, GRID, SpeakerCount(exact=1), rules) for n in row} == {0}


def test_a_voice_of_a_moment_is_nobody_in_a_long_recording() -> None:
    """The third voice speaks as long in both; of the longer recording it is too small a part."""
    short, long = (alternating([0, 1] * turns + [2] + [0, 1] * turns) for turns in (2, 20))
    rules = replace(RULES, most_speaker_samples=20_000, rest_share=0.02)
    people = [local_windows(truth, np.random.default_rng(3)) for truth in (short, long)]
    found = [len({n for row in recluster(windows, GRID, SpeakerCount(), rules) for n in row}) for windows in people]
    assert found == [3, 2]


def test_silence_has_no_speakers() -> None:
    windows = local_windows(np.zeros((100, 1), dtype=bool), np.random.default_rng(0))
    rows = recluster(windows, GRID, SpeakerCount(), RULES)
    assert all(row == () for row in rows)
    assert all(item.values.shape[1] == 0 for item in to_labelled(windows, rows, GRID))
    assert recluster([], GRID, SpeakerCount(), RULES) == []


def test_very_many_runs_are_clustered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = local_windows(alternating([0, 1, 2] * 20), np.random.default_rng(5))
    whole = recluster(windows, GRID, SpeakerCount(), RULES)
    monkeypatch.setattr(module, "MAX_ITEMS", 10)
    assert recluster(windows, GRID, SpeakerCount(), RULES) == whole


def test_people_are_far_apart_in_the_tests() -> None:
    people = voices(np.random.default_rng(0), 4)
    assert np.abs(people @ people.T - np.eye(4)).max() < 1e-5
