"""The end pass: everybody gets one name over the whole recording, and two voices of one window never the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import recluster as module
from app.core.recluster import ReclusterRules, recluster
from app.core.types import LocalDiarization, SpeakerCount
from tests.core.strategies import GRID, local_windows, meetings, voices

# The synthetic frames are short: a tenth of the default lengths.
RULES = ReclusterRules(min_clean_samples=2_000, min_speaker_samples=4_000)


def alternating(order: list[int], length: int = 30) -> np.ndarray:
    truth = np.zeros((len(order) * length, max(order) + 1), dtype=bool)
    for i, speaker in enumerate(order):
        truth[i * length : (i + 1) * length - 4, speaker] = True
    return truth


def purity(truth: np.ndarray, windows: list[LocalDiarization], names: list[tuple[int | None, ...]]) -> float:
    """Share of true speech that lies with the meeting speaker who holds most of that person's."""
    counts = np.zeros((truth.shape[1], 32))
    for window, row in zip(windows, names, strict=True):
        first = window.start // GRID.step
        part = truth[first : first + len(window.activity)]
        for i, name in enumerate(row):
            if name is not None:
                counts[:, name] += (part & (window.activity[: len(part), [i]] > 0)).sum(0)
    return float(sum(counts.max(axis=1)) / max(1, counts.sum()))


@given(meetings(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_names_every_voice_and_never_merges_two_of_one_window(truth: np.ndarray, seed: int) -> None:
    windows = local_windows(truth, np.random.default_rng(seed))
    names = recluster(windows, GRID, SpeakerCount(), RULES)
    for window, row in zip(windows, names, strict=True):
        speaks = (window.activity >= 0.5).any(axis=0)
        assert [name is not None for name in row] == speaks.tolist()
    numbers = [name for row in names for name in row if name is not None]
    first_seen = list(dict.fromkeys(numbers))
    assert sorted(first_seen) == list(range(len(first_seen)))


@pytest.mark.parametrize("order", [[0, 1, 0, 1], [0, 1, 2, 0, 1, 2, 0], [0, 1, 2, 3, 4, 0, 3, 1], [0, 0, 0]])
def test_finds_the_people(order: list[int]) -> None:
    truth = alternating(order)
    windows = local_windows(truth, np.random.default_rng(3))
    names = recluster(windows, GRID, SpeakerCount(), RULES)
    assert purity(truth, windows, names) == 1.0
    assert len({n for row in names for n in row if n is not None}) == max(order) + 1


@pytest.mark.parametrize(("count", "expected"), [(SpeakerCount(exact=2), 2), (SpeakerCount(max=3), 3)])
def test_the_count_asked_for_is_kept(count: SpeakerCount, expected: int) -> None:
    truth = alternating([0, 1, 2, 3, 0, 1, 2, 3], length=60)
    windows = local_windows(truth, np.random.default_rng(3))
    names = recluster(windows, GRID, count, RULES)
    assert len({n for row in names for n in row if n is not None}) == expected


def test_a_minimum_splits_what_sounds_alike() -> None:
    truth = alternating([0, 0, 0, 0], length=60)
    windows = local_windows(truth, np.random.default_rng(3))
    # Without windows that share speech every window is a chain of its own, and two speakers can be told from them.
    lonely = windows[::3]
    assert len({n for row in recluster(lonely, GRID, SpeakerCount(min=2), RULES) for n in row if n is not None}) == 2


def test_silence_has_no_speakers() -> None:
    windows = local_windows(np.zeros((100, 1), dtype=bool), np.random.default_rng(0))
    assert all(row == (None, None, None) for row in recluster(windows, GRID, SpeakerCount(), RULES))
    assert recluster([], GRID, SpeakerCount(), RULES) == []


def test_a_voice_without_a_vector_stays_with_its_neighbour() -> None:
    truth = alternating([0, 1, 0, 1])
    windows = [
        LocalDiarization(w.start, w.end, w.activity, np.zeros_like(w.voices), (0, 0, 0))
        for w in local_windows(truth, np.random.default_rng(3))
    ]
    names = recluster(windows, GRID, SpeakerCount(), RULES)
    assert all((n is not None) == bool(a) for w, row in zip(windows, names, strict=True)
               for n, a in zip(row, (w.activity >= 0.5).any(axis=0), strict=True))  # fmt: skip


def test_very_many_chains_are_clustered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = alternating([0, 1, 2] * 20)
    windows = local_windows(truth, np.random.default_rng(5))
    whole = recluster(windows, GRID, SpeakerCount(), RULES)
    monkeypatch.setattr(module, "MAX_ITEMS", 10)
    assert recluster(windows, GRID, SpeakerCount(), RULES) == whole


def test_people_are_far_apart_in_the_tests() -> None:
    people = voices(np.random.default_rng(0), 4)
    assert np.abs(people @ people.T - np.eye(4)).max() < 1e-5
