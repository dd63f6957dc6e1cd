"""Constrained clustering against what the constraints and the counts promise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clustering import ClusterRules, cluster


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
def test_constraints_hold(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], threshold: float, noise: float, least: int, extra: int
) -> None:
    vectors, weights, apart = problem
    labels = cluster(vectors, weights, apart, ClusterRules(threshold, noise, least, least + extra))
    count = len(set(labels.tolist()))
    assert min(least, len(vectors)) <= count <= max(least + extra, 1)
    free = cluster(vectors, weights, apart, ClusterRules(threshold, noise, least))
    assert not (apart & (free[:, None] == free[None, :])).any()
    assert list(dict.fromkeys(labels.tolist())) == list(range(labels.max() + 1))


def test_two_voices() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = cluster(vectors, np.ones(4, dtype=np.float32), np.zeros((4, 4), dtype=bool), ClusterRules(0.5))
    assert labels.tolist() == [0, 1, 0, 1]


def test_what_is_apart_stays_apart_even_when_it_sounds_the_same() -> None:
    vectors = np.ones((2, 3), dtype=np.float32) / np.sqrt(np.float32(3))
    apart = np.array([[False, True], [True, False]])
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
    ones, free = np.ones(6, dtype=np.float32), np.zeros((6, 6), dtype=bool)
    assert len(set(cluster(items, ones, free, ClusterRules(0.8)).tolist())) > 1
    assert set(cluster(items, ones, free, ClusterRules(0.8, noise_samples=1.0)).tolist()) == {0}
