"""The end pass over a recording: every window's local speakers -> meeting speakers, with the whole recording in view.

1. Chains: local speakers of neighbouring windows that are active at the same time in the shared sound (`linking`) and
do
   not sound different are one chain.
2. Chains with enough clean speech are clustered by voice under the constraint that two speakers of one window never
merge.
3. Clusters too small to be somebody, and chains without a voice, join the most similar (or nearest) speaker they may
join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from app.core.clustering import BoolArray, ClusterRules, IntArray, cluster
from app.core.linking import active_samples, link
from app.core.types import FloatArray, FrameGrid, LocalDiarization, SpeakerCount

MAX_ITEMS = 600
"""More chains than this are clustered in blocks first, so that a day-long recording stays cheap."""


@dataclass(frozen=True, slots=True)
class ReclusterRules:
    """threshold: cosine below which two clusters are two people.
    link_agreement, link_voice: what two neighbouring windows must agree on to be chained: activity (intersection over
        union) and, where both have voice vectors, their cosine.
    min_clean_samples: clean speech that a chain needs to found a speaker.
    min_speaker_samples: a cluster with less speech than this joins the nearest other.
    """

    threshold: float = 0.55
    link_agreement: float = 0.5
    link_voice: float = 0.4
    min_clean_samples: int = 24_000
    min_speaker_samples: int = 48_000


@dataclass(slots=True)
class _Chain:
    """One person over some consecutive windows. `cells`: (window, local speaker)."""

    cells: list[tuple[int, int]] = field(default_factory=list)
    speech: int = 0


def recluster(
    windows: Sequence[LocalDiarization], grid: FrameGrid, count: SpeakerCount, rules: ReclusterRules
) -> list[tuple[int | None, ...]]:
    """Meeting speaker of every local speaker of every window; None where it does not speak. Numbered by first
    appearance."""
    chains = _chains(windows, grid, rules)
    if not chains:
        return [(None,) * local.activity.shape[1] for local in windows]
    vectors, clean = _voices(chains, windows)
    apart = _apart(chains, len(windows))
    labels = _label(chains, vectors, clean, apart, _limits(count), rules)
    return _spread(chains, labels, windows)


def _chains(windows: Sequence[LocalDiarization], grid: FrameGrid, rules: ReclusterRules) -> list[_Chain]:
    chains: list[_Chain] = []
    owner: dict[tuple[int, int], _Chain] = {}
    for index, local in enumerate(windows):
        speech = active_samples(local, grid)
        inherited: dict[int, _Chain] = {}
        if index:
            inherited = {
                found.later: owner[index - 1, found.earlier]
                for found in link(windows[index - 1], local, grid)
                if found.agreement >= rules.link_agreement
                and _voices_agree(windows[index - 1], found.earlier, local, found.later, rules.link_voice)
            }
        for speaker in np.flatnonzero(speech):
            chain = inherited.get(int(speaker))
            if chain is None:
                chain = _Chain()
                chains.append(chain)
            chain.cells.append((index, int(speaker)))
            chain.speech += int(speech[speaker])
            owner[index, int(speaker)] = chain
    return chains


def _voices_agree(a: LocalDiarization, i: int, b: LocalDiarization, j: int, least: float) -> bool:
    if a.clean[i] == 0 or b.clean[j] == 0:
        return True
    return float(a.voices[i] @ b.voices[j]) >= least


def _voices(chains: list[_Chain], windows: Sequence[LocalDiarization]) -> tuple[FloatArray, FloatArray]:
    """Mean voice of each chain, (chains, dim) L2-normalised (zeros without one), and its clean speech, (chains,)
    samples."""
    vectors = np.zeros((len(chains), windows[0].voices.shape[1]), dtype=np.float32)
    clean = np.zeros(len(chains), dtype=np.float32)
    for number, chain in enumerate(chains):
        for window, speaker in chain.cells:
            local = windows[window]
            vectors[number] += local.voices[speaker] * local.clean[speaker]
            clean[number] += local.clean[speaker]
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0), clean


def _apart(chains: list[_Chain], num_windows: int) -> BoolArray:
    """(chains, chains): True where two chains share a window, and so are two people."""
    present = np.zeros((len(chains), num_windows), dtype=np.float32)
    for number, chain in enumerate(chains):
        present[number, [window for window, _ in chain.cells]] = 1
    apart: BoolArray = (present @ present.T) > 0
    np.fill_diagonal(apart, False)
    return apart


def _limits(count: SpeakerCount) -> tuple[int, int | None]:
    if count.exact is not None:
        return count.exact, count.exact
    return count.min or 1, count.max


def _label(
    chains: list[_Chain],
    vectors: FloatArray,
    clean: FloatArray,
    apart: BoolArray,
    limits: tuple[int, int | None],
    rules: ReclusterRules,
) -> IntArray:
    """Speaker of each chain, (chains,) int64."""
    voiced = np.flatnonzero(clean > 0)
    founders = np.flatnonzero(clean >= rules.min_clean_samples)
    if len(founders) < limits[0]:
        # Too little clean speech for as many speakers as were asked for: let shorter chains found them too.
        founders = voiced if len(voiced) else np.arange(len(chains))
    labels = np.full(len(chains), -1, dtype=np.int64)
    speech = np.array([chain.speech for chain in chains], dtype=np.float64)
    labels[founders] = _found(vectors[founders], clean[founders], apart[np.ix_(founders, founders)], limits, rules)
    _dissolve_small(labels, speech, limits[0], rules)
    _assign_rest(labels, chains, vectors, clean, apart)
    return labels


def _found(
    vectors: FloatArray, clean: FloatArray, apart: BoolArray, limits: tuple[int, int | None], rules: ReclusterRules
) -> IntArray:
    """Cluster the chains that may found a speaker; in blocks first when there are very many."""
    weights = np.maximum(clean, 1.0)
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


def _dissolve_small(labels: IntArray, speech: np.ndarray, least: int, rules: ReclusterRules) -> None:
    """Take the label back from clusters with too little speech, smallest first, but keep `least` of them."""
    totals = {int(k): float(speech[labels == k].sum()) for k in np.unique(labels[labels >= 0])}
    for k in sorted(totals, key=lambda k: totals[k]):
        if len(totals) <= max(1, least) or totals[k] >= rules.min_speaker_samples:
            break
        labels[labels == k] = -1
        del totals[k]


def _assign_rest(
    labels: IntArray, chains: list[_Chain], vectors: FloatArray, clean: FloatArray, apart: BoolArray
) -> None:
    """Give every unlabelled chain the most similar speaker that it may join; without a voice, the one nearest in
    time."""
    kinds = np.unique(labels[labels >= 0])
    means = np.stack([(vectors[labels == k] * clean[labels == k, None]).sum(0) for k in kinds])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    for number in sorted(np.flatnonzero(labels < 0).tolist(), key=lambda n: -chains[n].speech):
        taken = set(labels[apart[number]].tolist())
        free = [index for index, k in enumerate(kinds) if int(k) not in taken] or list(range(len(kinds)))
        if clean[number] > 0:
            scores = means[free] @ vectors[number]
        else:
            scores = np.array([-_distance(chains, labels, number, int(kinds[index])) for index in free])
        labels[number] = kinds[free[int(np.argmax(scores))]]


def _distance(chains: list[_Chain], labels: IntArray, number: int, kind: int) -> int:
    """Windows between a chain and the nearest one of a speaker."""
    here = chains[number].cells
    return min(
        max(0, other[0][0] - here[-1][0], here[0][0] - other[-1][0])
        for other in (chains[n].cells for n in np.flatnonzero(labels == kind))
    )


def _spread(
    chains: list[_Chain], labels: IntArray, windows: Sequence[LocalDiarization]
) -> list[tuple[int | None, ...]]:
    """Chain labels -> a tuple per window, speakers renumbered by first appearance."""
    table: list[list[int | None]] = [[None] * local.activity.shape[1] for local in windows]
    cells = sorted((*cell, int(labels[number])) for number, chain in enumerate(chains) for cell in chain.cells)
    names: dict[int, int] = {}
    for window, speaker, label in cells:
        table[window][speaker] = names.setdefault(label, len(names))
    return [tuple(row) for row in table]
