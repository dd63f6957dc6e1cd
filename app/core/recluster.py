"""The end pass over a recording: whose voice each run of clean speech is, with the whole recording in view.

1. Runs long enough to know a voice by are clustered, under the constraint that two local speakers of one window never
merge.
2. Clusters with too little speech to be somebody are dissolved.
3. The other runs, longest first, join the speaker they sound like, with a say for their neighbours: what the
diarization
   model took for one local speaker of a window more likely is one person, and two local speakers more likely are two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.clustering import BoolArray, ClusterRules, IntArray, cluster
from app.core.labelling import longest_first
from app.core.types import FloatArray, LocalDiarization, SpeakerCount, VoiceRun

MAX_ITEMS = 600
"""More runs than this are clustered in blocks first, so that a day-long recording stays cheap."""


@dataclass(frozen=True, slots=True)
class ReclusterRules:
    """threshold: cosine below which two clusters are two people.
    min_run_samples: a run shorter than this does not found a speaker.
    min_speaker_samples: a cluster with less clean speech than this is nobody.
    full_trust_samples: from this length on a run's voice is trusted fully; at length 0 it is trusted `least_trust`.
    neighbour_samples: how far in time neighbours have a say; neighbour_say: how much, as a difference of cosine.
    """

    threshold: float = 0.5
    min_run_samples: int = 24_000
    min_speaker_samples: int = 32_000
    full_trust_samples: int = 32_000
    least_trust: float = 0.4
    neighbour_samples: int = 80_000
    neighbour_say: float = 0.15


def recluster(windows: Sequence[LocalDiarization], count: SpeakerCount, rules: ReclusterRules) -> list[tuple[int, ...]]:
    """Speaker of every voice run of every window (same order as `runs`), numbered by first appearance.

    `count` is kept where the recording has that many distinguishable runs and the constraints allow it.
    """
    cells = [(number, run) for number, local in enumerate(windows) for run in local.runs]
    if not cells:
        return [() for _ in windows]
    runs = [run for _, run in cells]
    place = np.array([(number, run.local_speaker) for number, run in cells], dtype=np.int64)
    vectors = np.stack([run.voice for run in runs])
    weights = np.array([run.end - run.start for run in runs], dtype=np.float32)
    least, most = _limits(count)
    founders = _founders(weights, least, rules)
    labels = np.full(len(runs), -1, dtype=np.int64)
    labels[founders] = _cluster(vectors[founders], weights[founders], place[founders], (least, most), rules)
    _dissolve_small(labels, weights, least, rules)
    _join_rest(labels, runs, vectors, place, rules)
    return _by_window(labels, cells, len(windows))


def _limits(count: SpeakerCount) -> tuple[int, int | None]:
    if count.exact is not None:
        return count.exact, count.exact
    return count.min or 1, count.max


def _founders(weights: FloatArray, least: int, rules: ReclusterRules) -> IntArray:
    """Runs that may found a speaker: the long ones; when there are too few of them for the speakers asked for, all."""
    founders = np.flatnonzero(weights >= rules.min_run_samples)
    return founders if len(founders) >= max(least, 1) else np.arange(len(weights))


def _cluster(
    vectors: FloatArray, weights: FloatArray, place: IntArray, limits: tuple[int, int | None], rules: ReclusterRules
) -> IntArray:
    """Cluster of each founding run; in blocks first when there are very many."""
    apart = _apart(place)
    if len(vectors) <= MAX_ITEMS:
        return cluster(vectors, weights, apart, ClusterRules(rules.threshold, *limits))
    rough = np.zeros(len(vectors), dtype=np.int64)
    groups = 0
    for begin in range(0, len(vectors), MAX_ITEMS):
        part = slice(begin, begin + MAX_ITEMS)
        stricter = ClusterRules(min(0.95, rules.threshold + 0.1), limits[0])
        rough[part] = groups + cluster(vectors[part], weights[part], apart[part, part], stricter)
        groups = int(rough[part].max()) + 1
    member = np.zeros((groups, len(vectors)), dtype=np.float32)
    member[rough, np.arange(len(vectors))] = 1
    sums = member @ (vectors * weights[:, None])
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    group_apart: BoolArray = (member @ apart.astype(np.float32) @ member.T) > 0
    np.fill_diagonal(group_apart, False)
    return cluster(means, member @ weights, group_apart, ClusterRules(rules.threshold, *limits))[rough]


def _apart(place: IntArray) -> BoolArray:
    """(runs, runs): True for runs of one window that the diarization model took for two people."""
    window, speaker = place[:, 0], place[:, 1]
    return np.asarray((window[:, None] == window[None]) & (speaker[:, None] != speaker[None]), dtype=np.bool_)


def _dissolve_small(labels: IntArray, weights: FloatArray, least: int, rules: ReclusterRules) -> None:
    """Take the label back from clusters with too little speech, smallest first, but keep `least` of them."""
    totals = {int(k): float(weights[labels == k].sum()) for k in np.unique(labels[labels >= 0])}
    for k in sorted(totals, key=lambda k: totals[k]):
        if len(totals) <= max(1, least) or totals[k] >= rules.min_speaker_samples:
            break
        labels[labels == k] = -1
        del totals[k]


def _join_rest(
    labels: IntArray, runs: Sequence[VoiceRun], vectors: FloatArray, place: IntArray, rules: ReclusterRules
) -> None:
    """Give every unlabelled run a speaker: by its voice as far as it is long enough, and by its neighbours."""
    kinds = np.unique(labels[labels >= 0])
    weights = np.array([run.end - run.start for run in runs], dtype=np.float64)
    means = np.stack([(vectors[labels == k] * weights[labels == k, None]).sum(0) for k in kinds])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    middle = np.array([(run.start + run.end) / 2 for run in runs])
    for i in longest_first(runs):
        if labels[i] < 0:
            trust = min(1.0, rules.least_trust + weights[i] / rules.full_trust_samples)
            scores = trust * (means @ vectors[i]) + _say(i, labels, kinds, middle, place, rules)
            labels[i] = kinds[int(np.argmax(scores))]


def _say(
    i: int,
    labels: IntArray,
    kinds: IntArray,
    middle: NDArray[np.float64],
    place: IntArray,
    rules: ReclusterRules,
) -> NDArray[np.float64]:
    """What the labelled runs of the same window say of run i: (kinds,)."""
    closeness = 1 - np.abs(middle - middle[i]) / rules.neighbour_samples
    near = np.flatnonzero((labels >= 0) & (closeness > 0) & (place[:, 0] == place[i, 0]))
    same = place[near, 1] == place[i, 1]
    say = np.where(same, 1.0, -1.0) * closeness[near] * rules.neighbour_say
    return np.asarray(
        np.bincount(np.searchsorted(kinds, labels[near]), weights=say, minlength=len(kinds)), dtype=np.float64
    )


def _by_window(labels: IntArray, cells: Sequence[tuple[int, VoiceRun]], num_windows: int) -> list[tuple[int, ...]]:
    """Labels as a tuple per window, speakers renumbered by first appearance in time."""
    order = sorted(range(len(cells)), key=lambda i: (cells[i][1].start, i))
    numbers: dict[int, int] = {}
    for i in order:
        numbers.setdefault(int(labels[i]), len(numbers))
    rows: list[list[int]] = [[] for _ in range(num_windows)]
    for (number, _), found in zip(cells, labels.tolist(), strict=True):
        rows[number].append(numbers[found])
    return [tuple(row) for row in rows]
