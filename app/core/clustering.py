"""Constrained agglomerative clustering of voice vectors: whose pieces of speech belong together.

Average linkage on cosine similarity between weighted means, with cannot-link constraints: two pieces that were heard as
different speakers at the same time never end in one cluster (constrained clustering as in pyannote.audio's
`AgglomerativeClustering`, which has the linkage but not the constraints).
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
    """threshold: clusters less similar (cosine of their means) than this stay apart.

    min_clusters, max_clusters: merge on past the threshold down to `max_clusters`, stop merging at `min_clusters`.
    """

    threshold: float
    min_clusters: int = 1
    max_clusters: int | None = None


def cluster(vectors: FloatArray, weights: FloatArray, apart: BoolArray, rules: ClusterRules) -> IntArray:
    """Cluster number of each item, (items,) int64, numbered 0.. by first appearance.

    vectors: (items, dim) float32, L2-normalised; weights: (items,) float32 > 0, how much speech is behind each vector;
    apart: (items, items) bool, symmetric, True = never in one cluster.
    Cost: O(items^2) memory, O(items^2) time per merge in the worst case; callers keep `items` in the hundreds.
    """
    count = len(vectors)
    sums = vectors.astype(np.float64) * weights[:, None]
    blocked = apart.copy()
    members = [[i] for i in range(count)]
    similarity = _cosine(sums)
    np.fill_diagonal(similarity, -np.inf)
    similarity[blocked] = -np.inf
    alive = count
    while alive > rules.min_clusters:
        flat = int(np.argmax(similarity))
        i, j = sorted(divmod(flat, count))
        best = similarity[i, j]
        forced = rules.max_clusters is not None and alive > rules.max_clusters
        if best == -np.inf or (best < rules.threshold and not forced):
            break
        members[i] += members[j]
        members[j] = []
        sums[i] += sums[j]
        blocked[i] |= blocked[j]
        blocked[:, i] |= blocked[:, j]
        similarity[j, :] = similarity[:, j] = -np.inf
        similarity[i] = similarity[:, i] = _row(i, sums, blocked, members)
        alive -= 1
    return _numbered(members, count)


def _row(i: int, sums: NDArray[np.float64], blocked: BoolArray, members: list[list[int]]) -> NDArray[np.float64]:
    """Similarity of cluster i to every other that may still join it."""
    norms = np.linalg.norm(sums, axis=1)
    row: NDArray[np.float64] = sums @ sums[i] / np.maximum(norms * norms[i], 1e-12)
    row[blocked[i]] = -np.inf
    row[[not m for m in members]] = -np.inf
    row[i] = -np.inf
    return row


def _cosine(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    unit = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit @ unit.T)


def _numbered(members: list[list[int]], count: int) -> IntArray:
    labels = np.zeros(count, dtype=np.int64)
    for number, group in enumerate(sorted((m for m in members if m), key=min)):
        labels[group] = number
    return labels
