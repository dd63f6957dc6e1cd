"""Constrained agglomerative clustering of voice vectors: whose pieces of speech belong together.

Centroid linkage on cosine similarity, with cannot-link constraints: two pieces that were heard as different speakers
at the same time never end in one cluster (as in pyannote.audio's `AgglomerativeClustering`, which has the linkage but
not the constraints).

A voice vector of little speech is noisy, and noise lowers the cosine of two pieces of one voice, the more the shorter
they are; so one threshold cannot fit pieces of two seconds and clusters of minutes. The cosine is therefore corrected
for attenuation (Spearman 1904): divided by the root of both reliabilities, where n samples of speech have the
reliability n / (n + noise_samples).
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
    """threshold: clusters less similar than this stay apart. noise_samples: speech at which a voice vector is half
    noise.

    min_clusters, max_clusters: merge on down to `max_clusters`, past the threshold and, if need be, past the
    constraints; stop merging at `min_clusters`.
    """

    threshold: float
    noise_samples: float = 0.0
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
    amounts = weights.astype(np.float64).copy()
    blocked = apart.copy()
    np.fill_diagonal(blocked, True)
    members = [[i] for i in range(count)]
    similarity = np.stack([_row(i, sums, amounts, blocked, rules) for i in range(count)]) if count else np.zeros((0, 0))
    alive = count
    while alive > rules.min_clusters:
        i, j = sorted(divmod(int(np.argmax(similarity)), count))
        best = similarity[i, j]
        forced = rules.max_clusters is not None and alive > rules.max_clusters
        if forced and best == -np.inf:
            # Whoever says how many speakers there are knows better than the constraints.
            i, j = _nearest(sums, amounts, members, rules)
        elif best == -np.inf or (best < rules.threshold and not forced):
            break
        members[i] += members[j]
        members[j] = []
        sums[i] += sums[j]
        amounts[i] += amounts[j]
        blocked[i] |= blocked[j]
        blocked[:, i] |= blocked[:, j]
        blocked[j, :] = blocked[:, j] = True
        similarity[j, :] = similarity[:, j] = -np.inf
        similarity[i] = similarity[:, i] = _row(i, sums, amounts, blocked, rules)
        alive -= 1
    return _numbered(members, count)


def _nearest(
    sums: NDArray[np.float64], amounts: NDArray[np.float64], members: list[list[int]], rules: ClusterRules
) -> tuple[int, int]:
    """The two most similar clusters, constraints or not."""
    alive = np.array([bool(group) for group in members])
    blocked = ~(alive[:, None] & alive[None]) | np.eye(len(alive), dtype=np.bool_)
    similarity = np.stack([_row(i, sums, amounts, blocked, rules) for i in range(len(alive))])
    i, j = sorted(divmod(int(np.argmax(similarity)), len(alive)))
    return i, j


def _row(
    i: int, sums: NDArray[np.float64], amounts: NDArray[np.float64], blocked: BoolArray, rules: ClusterRules
) -> NDArray[np.float64]:
    """Similarity of cluster i to every other that may still join it, -inf for those that may not."""
    norms = np.linalg.norm(sums, axis=1)
    reliability = amounts / (amounts + rules.noise_samples)
    scale = norms * norms[i] * np.sqrt(reliability * reliability[i])
    row = np.asarray(sums @ sums[i] / np.maximum(scale, 1e-12), dtype=np.float64)
    row[blocked[i]] = -np.inf
    return row


def _numbered(members: list[list[int]], count: int) -> IntArray:
    labels = np.zeros(count, dtype=np.int64)
    for number, group in enumerate(sorted((m for m in members if m), key=min)):
        labels[group] = number
    return labels
