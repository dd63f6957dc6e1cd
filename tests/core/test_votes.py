"""Votes of windows on pairs of runs, against a meeting of which everything is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clustering import ClusterRules, cluster
from app.core.votes import votes_of
from tests.core.strategies import GRID, local_windows, meetings, voices


@given(meetings(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_perfect_windows_vote_for_the_truth(truth: np.ndarray, seed: int) -> None:
    people = voices(np.random.default_rng(seed), truth.shape[1])
    windows = local_windows(truth, np.random.default_rng(seed))
    runs = [run for local in windows for run in local.runs]
    who = np.array([int(np.argmax(people @ run.voice)) for run in runs], dtype=np.int64)
    votes = votes_of(windows, runs, GRID)
    assert (votes.first < votes.second).all()
    assert np.array_equal(votes.one == 1.0, who[votes.first] == who[votes.second])
    assert np.allclose(votes.one + votes.two, 1.0)


def test_sums_between_groups() -> None:
    truth = np.zeros((30, 2), dtype=bool)
    truth[0:8, 0] = truth[10:18, 1] = truth[20:28, 0] = True
    windows = local_windows(truth, np.random.default_rng(3))
    runs = [run for local in windows for run in local.runs]
    votes = votes_of(windows, runs, GRID)
    one, two = votes.between(np.array([0, 1, 0]), 2)
    assert np.array_equal(two, [[0, len(votes.first) - votes.one.sum()], [len(votes.first) - votes.one.sum(), 0]])
    assert not one.any()
    apart, _ = votes.between(np.array([0, -1, 2]), 3)
    assert apart[0, 2] == apart[2, 0] == votes.one.sum() > 0
    assert votes_of([], [], GRID).first.shape == votes_of(windows, [], GRID).first.shape == (0,)


def test_votes_join_what_is_nearly_alike_enough() -> None:
    vectors = np.array([[1.0, 0.0], [0.62, np.sqrt(1 - 0.62**2)]], dtype=np.float32)
    weights = np.full(2, 80_000, dtype=np.float32)
    none, many = np.zeros((2, 2), np.float32), np.array([[0, 9], [9, 0]], np.float32)
    rules = ClusterRules(0.68)

    def people(one: np.ndarray, two: np.ndarray, rules: ClusterRules = rules) -> int:
        return len(set(cluster(vectors, weights, none, rules, (one, two)).tolist()))

    assert people(none, none) == 2
    assert people(many, none) == 1
    assert people(many, 3 * many) == 2
    assert people(many, none, replace(rules, one_say=0.0)) == 2
