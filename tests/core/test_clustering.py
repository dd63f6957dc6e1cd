"""Constrained clustering against what the constraints and the counts promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clustering import ClusterRules, cluster, told_apart


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = rng.normal(size=(count, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = rng.random((count, count)) < draw(st.sampled_from([0.0, 0.2, 0.6]))
    apart = np.triu(apart, 1) | np.triu(apart, 1).T
    return vectors.astype(np.float32), rng.uniform(1, 9, count).astype(np.float32), apart


@given(problems(), st.sampled_from([-1.0, 0.3, 0.9]), st.sampled_from([0.0, 3.0]), st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None, max_examples=100)
def test_counts_hold(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], threshold: float, noise: float, least: int, extra: int
) -> None:
    vectors, weights, apart = problem
    rules = ClusterRules(threshold, noise, least, least + extra)
    labels = cluster(vectors, weights, told_apart(weights, apart), rules)
    count = len(set(labels.tolist()))
    assert min(least, len(vectors)) <= count <= max(least + extra, 1)
    assert list(dict.fromkeys(labels.tolist())) == list(range(labels.max() + 1))


@given(problems(), st.integers(0, 2**14 - 1), st.sampled_from([-1.0, 0.3]))
@settings(deadline=None, max_examples=100)
def test_two_sides_told_apart_throughout_share_no_cluster(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], sides: int, threshold: float
) -> None:
    vectors, weights, _ = problem
    side = np.array([sides >> i & 1 for i in range(len(vectors))])
    apart = side[:, None] != side
    labels = cluster(vectors, weights, told_apart(weights, apart), ClusterRules(threshold))
    assert not (apart & (labels[:, None] == labels)).any()


def test_one_mistaken_pair_does_not_keep_a_long_voice_in_two() -> None:
    """Two halves of one voice, twelve pieces each, of which one pair was taken for two people."""
    vectors = np.ones((24, 3), dtype=np.float32) / np.sqrt(np.float32(3))
    weights = np.full(24, 16_000, dtype=np.float32)
    halves = np.arange(24) // 12
    every = halves[:, None] != halves
    pair = np.zeros((24, 24), dtype=bool)
    pair[0, 12] = pair[12, 0] = True
    assert set(cluster(vectors, weights, told_apart(weights, pair), ClusterRules(0.68)).tolist()) == {0}
    assert set(cluster(vectors, weights, told_apart(weights, every), ClusterRules(0.68)).tolist()) == {0, 1}


@pytest.mark.parametrize(("seconds", "people"), [(4, 1), (20, 2), (60, 2)])
def test_much_speech_must_be_more_alike(seconds: int, people: int) -> None:
    vectors = np.array([[1.0, 0.0], [0.75, np.sqrt(1 - 0.75**2)]], dtype=np.float32)
    rules = ClusterRules(0.68, sure_threshold=0.85)
    labels = cluster(vectors, np.full(2, seconds * 16_000, dtype=np.float32), np.zeros((2, 2), np.float32), rules)
    assert len(set(labels.tolist())) == people


def test_two_voices() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = cluster(vectors, np.ones(4, dtype=np.float32), np.zeros((4, 4), np.float32), ClusterRules(0.5))
    assert labels.tolist() == [0, 1, 0, 1]


def test_what_is_apart_stays_apart_even_when_it_sounds_the_same() -> None:
    vectors = np.ones((2, 3), dtype=np.float32) / np.sqrt(np.float32(3))
    apart = told_apart(np.ones(2, np.float32), np.array([[False, True], [True, False]]))
    assert cluster(vectors, np.ones(2, dtype=np.float32), apart, ClusterRules(0.1)).tolist() == [0, 1]
    told = ClusterRules(0.1, max_clusters=1)
    assert cluster(vectors, np.ones(2, dtype=np.float32), apart, told).tolist() == [0, 0]


def test_noise_is_allowed_for() -> None:
    """Two short pieces of one voice are less alike than two long ones; the correction makes them equal."""
    rng = np.random.default_rng(1)
    voice = np.zeros(400)
    voice[0] = 1.0
    short = np.stack([voice + rng.normal(scale=0.05, size=400) for _ in range(6)])
    short /= np.linalg.norm(short, axis=1, keepdims=True)
    items = short.astype(np.float32)
    ones, free = np.ones(6, dtype=np.float32), np.zeros((6, 6), np.float32)
    assert len(set(cluster(items, ones, free, ClusterRules(0.8)).tolist())) > 1
    assert set(cluster(items, ones, free, ClusterRules(0.8, noise_samples=1.0)).tolist()) == {0}
