"""Constrained agglomerative clustering of voice vectors: whose pieces of speech belong together.

Centroid linkage on cosine similarity (as in pyannote.audio's `AgglomerativeClustering`), with cannot-link constraints:
two pieces that were heard as different speakers in one window are not merged. One such pair in twenty is one speaker
all the same, and if it counted for ever it would keep minutes of that speaker in two clusters. So a constraint weighs
as much as the speech behind it: what it takes off the similarity of two clusters is the odds of how much of the smaller
one was told apart from the other, which is everything for the pieces themselves and little for long clusters with one
such pair.

A voice vector of little speech is noisy, and noise lowers the cosine of two pieces of one voice, the more the shorter
they are; so one threshold cannot fit pieces of two seconds and clusters of minutes. The cosine is therefore corrected
for attenuation (Spearman 1904): divided by the root of both reliabilities, where n samples of speech have the
reliability n / (n + noise_samples). What is left of the difference between pieces of one voice shrinks as well:
clusters that have much speech must be more alike than those with little.

Windows overlap, and most that hear one voice in two pieces are right, so that their votes count as well, a little: with
them one voice falls into two clusters less often. (That they hear two voices is said by the constraints.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.types import FloatArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClusterRules:
    """threshold: clusters less similar than this stay apart, when the smaller one has `few_samples` or less.
    noise_samples: speech at which a voice vector is half noise.

    min_clusters, max_clusters: merge on down to `max_clusters`, past the threshold and, if need be, past the
    constraints; stop merging at `min_clusters`.
    sure_threshold: the same with `many_samples` or more, and in between on a logarithmic scale; None = `threshold`.
    one_say, few_votes: how much more alike two clusters count when all windows say that they are one voice, and how
    many pairs of items must have been heard so for half of that.
    """

    threshold: float
    noise_samples: float = 0.0
    min_clusters: int = 1
    max_clusters: int | None = None
    sure_threshold: float | None = None
    few_samples: float = 80_000
    many_samples: float = 320_000
    one_say: float = 0.15
    few_votes: float = 3.0


def told_apart(weights: FloatArray, apart: BoolArray) -> FloatArray:
    """(items, items) float32: how much of the speech of two items was heard as different speakers' in one window.

    weights: (items,) float32; apart: (items, items) bool, symmetric.
    """
    return np.asarray(apart * np.minimum(weights[:, None], weights), dtype=np.float32)


def cluster(
    vectors: FloatArray,
    weights: FloatArray,
    conflict: FloatArray,
    rules: ClusterRules,
    votes: tuple[FloatArray, FloatArray] | None = None,
) -> IntArray:
    """Cluster number of each item, (items,) int64, numbered 0.. by first appearance.

    vectors: (items, dim) float32, L2-normalised; weights: (items,) float32 > 0, how much speech is behind each vector;
    conflict: (items, items) float32, symmetric, as `told_apart` gives it.
    votes: two (items, items) float32, symmetric: share of windows that heard one voice in both items, and two voices.
    Cost: O(items^2) memory, O(items^2) time per merge in the worst case; callers keep `items` in the hundreds.
    """
    count = len(vectors)
    sums = vectors.astype(np.float64) * weights[:, None]
    amounts = weights.astype(np.float64)
    one, two = votes or (np.zeros((count, count)), np.zeros((count, count)))
    between = [values.astype(np.float64) for values in (conflict, one, two)]
    clusters = _Clusters(sums, amounts, between[0], between[1], between[2], np.ones(count, np.bool_), rules)
    members = [[i] for i in range(count)]
    excess = np.stack([clusters.excess(i) for i in range(count)]) if count else np.zeros((0, 0))
    alive = count
    while alive > rules.min_clusters:
        i, j = sorted(divmod(int(np.argmax(excess)), count))
        forced = rules.max_clusters is not None and alive > rules.max_clusters
        if forced and excess[i, j] == -np.inf:
            # Whoever says how many speakers there are knows better than the constraints.
            i, j = clusters.nearest()
        elif excess[i, j] == -np.inf or (excess[i, j] < 0.0 and not forced):
            break
        members[i] += members[j]
        members[j] = []
        clusters.merge(i, j)
        excess[j, :] = excess[:, j] = -np.inf
        excess[i] = excess[:, i] = clusters.excess(i)
        alive -= 1
    return _numbered(members, count)


@dataclass(slots=True)
class _Clusters:
    """sums: (items, dim) of vectors times speech; amounts: (items,) speech; conflict: (items, items) speech of one that
    was told apart from the other; one, two: (items, items) votes of windows; alive: (items,) False for what became part
    of another."""

    sums: NDArray[np.float64]
    amounts: NDArray[np.float64]
    conflict: NDArray[np.float64]
    one: NDArray[np.float64]
    two: NDArray[np.float64]
    alive: BoolArray
    rules: ClusterRules

    def merge(self, i: int, j: int) -> None:
        """j becomes part of i."""
        self.sums[i] += self.sums[j]
        self.amounts[i] += self.amounts[j]
        for between in (self.conflict, self.one, self.two):
            between[i] += between[j]
            between[:, i] += between[:, j]
        self.alive[j] = False

    def excess(self, i: int) -> NDArray[np.float64]:
        """(items,) by how much cluster i is more similar to each than it has to be; -inf for those it may not join."""
        smaller = np.minimum(self.amounts, self.amounts[i])
        share = self.conflict[i] / np.maximum(smaller, 1e-12)
        with np.errstate(divide="ignore"):
            odds = np.where(share < 1.0, share / (1.0 - np.minimum(share, 1.0)), np.inf)
        said = self.one[i] / (self.one[i] + self.two[i] + self.rules.few_votes)
        return self._may(i, self.similarity(i) + self.rules.one_say * said - self._limit(smaller) - odds)

    def similarity(self, i: int) -> NDArray[np.float64]:
        """(items,) cosine of cluster i and each, corrected for attenuation."""
        norms = np.linalg.norm(self.sums, axis=1)
        reliability = self.amounts / (self.amounts + self.rules.noise_samples)
        scale = norms * norms[i] * np.sqrt(reliability * reliability[i])
        return np.asarray(self.sums @ self.sums[i] / np.maximum(scale, 1e-12), dtype=np.float64)

    def nearest(self) -> tuple[int, int]:
        """The two most similar clusters, constraints or not."""
        rows = [self._may(i, self.similarity(i)) for i in np.flatnonzero(self.alive).tolist()]
        place, j = divmod(int(np.argmax(np.stack(rows))), len(self.alive))
        i, j = sorted((int(np.flatnonzero(self.alive)[place]), j))
        return i, j

    def _may(self, i: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        others = self.alive & (np.arange(len(values)) != i)
        return np.asarray(np.where(others, values, -np.inf), dtype=np.float64)

    def _limit(self, smaller: NDArray[np.float64]) -> NDArray[np.float64]:
        """How similar two clusters must be, by the speech of the smaller one."""
        rules = self.rules
        rise = (rules.threshold if rules.sure_threshold is None else rules.sure_threshold) - rules.threshold
        share = np.log(np.maximum(smaller, 1e-12) / rules.few_samples) / np.log(rules.many_samples / rules.few_samples)
        return np.asarray(rules.threshold + rise * np.clip(share, 0.0, 1.0), dtype=np.float64)


def _numbered(members: list[list[int]], count: int) -> IntArray:
    labels = np.zeros(count, dtype=np.int64)
    for number, group in enumerate(sorted((m for m in members if m), key=min)):
        labels[group] = number
    return labels
