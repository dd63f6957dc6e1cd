"""A picture of simulated timing beside real timing: turns and a timing table in, a PNG out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.training.simulate.errors import OutputFailed
from models.training.simulate.fit import observe
from models.training.simulate.timing import TimingTable, Transition
from models.training.simulate.turns import SpokenTurn, overlap_amount, read_turns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHANGES = (Transition.CHANGE, Transition.INTERRUPTION)
_LIMITS_S = {Transition.SAME: (0.0, 4.0), Transition.CHANGE: (-4.0, 4.0), Transition.BACKCHANNEL: (-10.0, 0.0)}
_BINS = 40


@dataclass(frozen=True, slots=True)
class Timing:
    """What a picture shows of sessions: gaps in seconds per transition, lengths of overlaps, share per session."""

    label: str
    gaps_s: dict[Transition, list[float]]
    overlaps_s: list[float]
    shares: list[float]


def measure(label: str, sessions: Sequence[Sequence[SpokenTurn]]) -> Timing:
    """Gather gaps and overlaps of sessions."""
    gaps: dict[Transition, list[float]] = {kind: [] for kind in Transition}
    overlaps: list[float] = []
    shares = []
    for turns in sessions:
        for item in observe(turns):
            gaps[item.kind].append(item.gap_s)
        overlaps += overlap_lengths_s(turns)
        shares.append(overlap_amount([(turn.start_s, turn.end_s) for turn in turns]).share)
    return Timing(label, gaps, overlaps, shares)


def overlap_lengths_s(turns: Sequence[SpokenTurn]) -> list[float]:
    """Lengths of the stretches with two or more speakers, in seconds."""
    edges = sorted([(turn.start_s, 1) for turn in turns] + [(turn.end_s, -1) for turn in turns])
    found, active, began = [], 0, 0.0
    for at, change in edges:
        if active < 2 <= active + change:
            began = at
        elif active >= 2 > active + change and at > began:
            found.append(at - began)
        active += change
    return found


def plot_files(simulated: Sequence[Path], real: Sequence[Path], table: TimingTable, out: Path) -> None:
    """Draw the picture.

    Raises:
        TimingInvalid: a file is malformed.
        OutputFailed: the picture cannot be written.
    """
    shown = [measure("simulated", _sessions(simulated))]
    if real:
        shown.append(measure("real", _sessions(real)))
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    _plot_gaps(axes[0, 0], shown, (Transition.SAME,), table, "pause before the same speaker goes on")
    _plot_gaps(axes[0, 1], shown, _CHANGES, table, "gap at a change of the floor (below 0: overlap)")
    _plot_gaps(axes[0, 2], shown, (Transition.BACKCHANNEL,), table, "backchannel: start before the floor's end")
    _plot_overlaps(axes[1, 0], shown)
    _plot_kinds(axes[1, 1], shown)
    _plot_shares(axes[1, 2], shown)
    try:
        figure.savefig(out, dpi=100)
    except (OSError, ValueError) as error:
        raise OutputFailed(f"picture {out} cannot be written: {error}") from error


def _sessions(paths: Sequence[Path]) -> list[list[SpokenTurn]]:
    return [turns for path in paths for turns in read_turns(path).values()]


def _plot_gaps(
    axes: Axes, shown: Sequence[Timing], kinds: tuple[Transition, ...], table: TimingTable, title: str
) -> None:
    low, high = _LIMITS_S[kinds[0]]
    for timing in shown:
        _histogram(axes, [gap for kind in kinds for gap in timing.gaps_s[kind]], (low, high), timing.label)
    at = np.linspace(low, high, 400)
    axes.plot(at, _table_pdf(table, kinds, at), color="black", linewidth=1, label="table")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("seconds")
    axes.legend(fontsize=8)


def _table_pdf(table: TimingTable, kinds: tuple[Transition, ...], at: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.array([table.shares[kind] for kind in kinds])
    densities = np.stack([table.gaps[kind].pdf(at) for kind in kinds])
    return np.asarray((weights / weights.sum()) @ densities)


def _histogram(axes: Axes, values: Sequence[float], limits: tuple[float, float], label: str) -> None:
    """A density histogram with the number of values in its label; an empty one where none lies within the limits."""
    within = any(limits[0] <= value <= limits[1] for value in values)
    axes.hist(values, bins=_BINS, range=limits, density=within, alpha=0.5, label=f"{label} ({len(values)})")


def _plot_overlaps(axes: Axes, shown: Sequence[Timing]) -> None:
    for timing in shown:
        _histogram(axes, timing.overlaps_s, (0.0, 4.0), timing.label)
    axes.set_title("length of overlapped stretches", fontsize=10)
    axes.set_xlabel("seconds")
    axes.legend(fontsize=8)


def _plot_kinds(axes: Axes, shown: Sequence[Timing]) -> None:
    width = 0.8 / len(shown)
    for number, timing in enumerate(shown):
        total = max(1, sum(map(len, timing.gaps_s.values())))
        heights = [len(timing.gaps_s[kind]) / total for kind in Transition]
        axes.bar(np.arange(len(heights)) + number * width, heights, width, alpha=0.6, label=timing.label)
    axes.set_xticks(np.arange(len(Transition)) + 0.2, [kind.value for kind in Transition], fontsize=8)
    axes.set_title("share of transitions", fontsize=10)
    axes.legend(fontsize=8)


def _plot_shares(axes: Axes, shown: Sequence[Timing]) -> None:
    for timing in shown:
        axes.plot(sorted(timing.shares), "o-", markersize=3, alpha=0.7, label=timing.label)
    axes.set_title("overlapped share of speech time, per session", fontsize=10)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
