"""The end pass over a recording: whose voice each run of clean speech is, with the whole recording in view.

1. Runs long enough to know a voice by are clustered, under the constraint that two local speakers of one window are two
people, unless much else says that they are one.
2. Clusters with too little speech to be somebody are dissolved.
3. Where one speaker is found, but windows hear two at once, the voices are clustered into two, shorter runs included.
4. The other runs join the speaker that they sound like. (A say for what their window's other runs are was tried: no
difference.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.core.clustering import ClusterRules, IntArray, cluster, told_apart
from app.core.labelling import ACTIVE
from app.core.types import FloatArray, FrameGrid, LocalDiarization, SpeakerCount, VoiceRun
from app.core.votes import Votes, votes_of

MAX_ITEMS = 600
"""More runs than this are clustered in blocks first, so that a day-long recording stays cheap."""


@dataclass(frozen=True, slots=True)
class ReclusterRules:
    """threshold, sure_threshold, noise_samples: how alike two clusters must sound to be one person (see `clustering`).
    min_run_samples: a run shorter than this does not found a speaker.
    min_speaker_samples, min_speaker_share: a cluster with less clean speech than both this much and this share of all
        clean speech is nobody.
    most_speaker_samples, rest_share: nor is one with less than both of these: the longer a recording, the more of its
        voices are spoilt by something, and some of those sound alike.
    min_together_samples, min_together_share: where two speak at once for this long, and for this share of the speech,
        there are two, however alike they sound.
    """

    threshold: float = 0.68
    noise_samples: int = 35_200
    min_run_samples: int = 16_000
    min_speaker_samples: int = 32_000
    min_speaker_share: float = 0.05
    sure_threshold: float = 0.85
    min_together_samples: int = 32_000
    min_together_share: float = 0.05
    most_speaker_samples: int = 160_000
    rest_share: float = 0.005


def recluster(
    windows: Sequence[LocalDiarization], grid: FrameGrid, count: SpeakerCount, rules: ReclusterRules
) -> list[tuple[int, ...]]:
    """Speaker of every voice run of every window (same order as `runs`), numbered by first appearance.

    `count` is kept where the recording has that many distinguishable runs and the constraints allow it.
    """
    cells = [(number, run) for number, local in enumerate(windows) for run in local.runs]
    if not cells:
        return [() for _ in windows]
    voices = _Voices(
        np.array([(number, run.local_speaker) for number, run in cells], dtype=np.int64),
        np.stack([run.voice for _, run in cells]),
        np.array([run.end - run.start for _, run in cells], dtype=np.float32),
        votes_of(windows, [run for _, run in cells], grid),
    )
    least, most = _limits(count)
    labels = _label(voices, (least, most), rules)
    if labels.max() == 0 and most != 1 and _two_at_once(windows, voices, rules):
        shorter = replace(rules, min_run_samples=rules.min_run_samples // 2)
        labels = _label(voices, (2, most), shorter)
    return _by_window(labels, cells, len(windows))


@dataclass(frozen=True, slots=True)
class _Voices:
    """place: (runs, 2) window and local speaker; vectors: (runs, dim); weights: (runs,) samples; votes: on pairs."""

    place: IntArray
    vectors: FloatArray
    weights: FloatArray
    votes: Votes


def _label(voices: _Voices, limits: tuple[int, int | None], rules: ReclusterRules) -> IntArray:
    """(runs,) whose each is."""
    founders = _founders(voices.weights, limits[0], rules)
    labels = np.full(len(voices.weights), -1, dtype=np.int64)
    labels[founders] = _cluster(voices, founders, limits, rules)
    _dissolve_small(labels, voices.weights, limits[0], rules)
    _join_rest(labels, voices.vectors, voices.weights)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _two_at_once(windows: Sequence[LocalDiarization], voices: _Voices, rules: ReclusterRules) -> bool:
    """Whether the windows hear two people speak at once, more than by mistake: nobody does that alone."""
    speaking = np.concatenate([(local.activity >= ACTIVE).sum(axis=1) for local in windows])
    alone, together = int((speaking == 1).sum()), int((speaking > 1).sum())
    # The runs are the recording's time alone; windows overlap, so frames only tell the ratio.
    samples = float(voices.weights.sum()) * together / max(1, alone)
    return samples >= rules.min_together_samples and together >= rules.min_together_share * (alone + together)


def _limits(count: SpeakerCount) -> tuple[int, int | None]:
    if count.exact is not None:
        return count.exact, count.exact
    return count.min or 1, count.max


def _founders(weights: FloatArray, least: int, rules: ReclusterRules) -> IntArray:
    """Runs that may found a speaker: the long ones; when there are too few of them for the speakers asked for, all."""
    founders = np.flatnonzero(weights >= rules.min_run_samples)
    return founders if len(founders) >= max(least, 1) else np.arange(len(weights))


def _cluster(voices: _Voices, runs: IntArray, limits: tuple[int, int | None], rules: ReclusterRules) -> IntArray:
    """Cluster of each founding run; in blocks first when there are very many."""
    if len(runs) <= MAX_ITEMS:
        return _cluster_runs(voices, runs, _cluster_rules(rules, *limits))
    rough = np.full(len(voices.weights), -1, dtype=np.int64)
    groups = 0
    stricter = _cluster_rules(rules, limits[0], None, 0.1)
    for begin in range(0, len(runs), MAX_ITEMS):
        part = runs[begin : begin + MAX_ITEMS]
        rough[part] = groups + _cluster_runs(voices, part, stricter)
        groups = int(rough.max()) + 1
    group, weights = rough[runs], voices.weights[runs]
    sums = np.zeros((groups, voices.vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, group, voices.vectors[runs] * weights[:, None])
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    amounts = np.bincount(group, weights=weights, minlength=groups).astype(np.float32)
    conflict = _groups_apart(voices.place[runs], weights, group, groups)
    votes = voices.votes.between(rough, groups)
    return cluster(means, amounts, conflict, _cluster_rules(rules, *limits), votes)[group]


def _cluster_runs(voices: _Voices, runs: IntArray, rules: ClusterRules) -> IntArray:
    """Cluster of each of these runs."""
    own = np.full(len(voices.weights), -1, dtype=np.int64)
    own[runs] = np.arange(len(runs))
    weights = voices.weights[runs]
    votes = voices.votes.between(own, len(runs))
    return cluster(voices.vectors[runs], weights, _apart(voices.place[runs], weights), rules, votes)


def _cluster_rules(rules: ReclusterRules, least: int, most: int | None, more: float = 0.0) -> ClusterRules:
    """`more`: how much more alike clusters must sound than at the end."""
    sure = max(rules.threshold, rules.sure_threshold) + more
    return ClusterRules(rules.threshold + more, rules.noise_samples, least, most, sure)


def _apart(place: IntArray, weights: FloatArray) -> FloatArray:
    """(runs, runs): speech of runs of one window that the diarization model took for two people."""
    window, speaker = place[:, 0], place[:, 1]
    return told_apart(weights, (window[:, None] == window[None]) & (speaker[:, None] != speaker[None]))


def _groups_apart(place: IntArray, weights: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """(groups, groups): the same for groups of runs, over all windows."""
    apart = np.zeros((groups, groups), dtype=np.float32)
    order = np.argsort(place[:, 0], kind="stable")
    borders = np.flatnonzero(np.diff(place[order, 0])) + 1
    for runs in np.split(order, borders):
        speech = _apart(place[runs], weights[runs])
        first, second = np.nonzero(speech)
        np.add.at(apart, (group[runs[first]], group[runs[second]]), speech[first, second])
    np.fill_diagonal(apart, 0.0)
    return apart


def _dissolve_small(labels: IntArray, weights: FloatArray, least: int, rules: ReclusterRules) -> None:
    """Take the label back from clusters with too little speech, smallest first, but keep `least` of them."""
    totals = {int(k): float(weights[labels == k].sum()) for k in np.unique(labels[labels >= 0])}
    all_speech = float(weights.sum())
    enough = max(
        min(rules.min_speaker_samples, rules.min_speaker_share * all_speech),
        min(rules.most_speaker_samples, rules.rest_share * all_speech),
    )
    for k in sorted(totals, key=lambda k: totals[k]):
        if len(totals) <= max(1, least) or totals[k] >= enough:
            break
        labels[labels == k] = -1
        del totals[k]


def _join_rest(labels: IntArray, vectors: FloatArray, weights: FloatArray) -> None:
    """Give every unlabelled run the speaker whose mean voice is most like its own."""
    kinds = np.unique(labels[labels >= 0])
    means = np.stack([(vectors[labels == k] * weights[labels == k, None]).sum(0) for k in kinds])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    rest = labels < 0
    labels[rest] = kinds[np.argmax(vectors[rest] @ means.T, axis=1)]


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
