"""Words of a stretch of sound in which several people speak -> the turn of whoever said each.

The words have times, the turns have spans: a word belongs to the turn that covers most of it; in a pause, to the
nearest turn. Where turns overlap a word goes with the words around it: the assignment of a whole run of words is the
one that switches speakers least (dynamic programming over words, as in forced alignment with speaker change penalties).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SWITCH_COST = 0.35
"""What a change of turn between neighbouring words costs, in words wholly outside the chosen turn."""


def assign(words: Sequence[tuple[int, int]], turns: Sequence[tuple[int, int]], reach: int) -> list[int | None]:
    """Turn index of each word, None for a word further than `reach` samples from every turn.

    Args:
        words: (start, end) in samples, in order of time.
        turns: (start, end) in samples.
        reach: distance in samples at which a word outside a turn costs as much as it can.
    """
    if not words or not turns:
        return [None] * len(words)
    cost = np.array([[_cost(word, turn, reach) for turn in turns] for word in words])
    best = np.empty_like(cost)
    came_from = np.zeros(cost.shape, dtype=np.int64)
    best[0] = cost[0]
    for i in range(1, len(words)):
        stay, switch = best[i - 1], best[i - 1].min() + SWITCH_COST
        came_from[i] = np.where(stay <= switch, np.arange(len(turns)), int(best[i - 1].argmin()))
        best[i] = cost[i] + np.minimum(stay, switch)
    path = [int(best[-1].argmin())]
    for i in range(len(words) - 1, 0, -1):
        path.append(int(came_from[i, path[-1]]))
    path.reverse()
    return [turn if cost[i, turn] < FAR else None for i, turn in enumerate(path)]


FAR = 2.0
"""Cost of a word beyond reach of a turn."""


def _cost(word: tuple[int, int], turn: tuple[int, int], reach: int) -> float:
    """0 for a word inside the turn, up to 1 for one that only touches it, then up to FAR with the distance."""
    start, end = word
    length = max(1, end - start)
    inside = max(0, min(end, turn[1]) - max(start, turn[0]))
    if inside > 0:
        return 1.0 - inside / length
    middle = (start + end) / 2
    distance = max(turn[0] - middle, middle - turn[1], 0)
    return min(FAR, 1.0 + distance / reach)
