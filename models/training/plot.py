"""A run's curves as a picture: `curves.csv` in, `curves.png` beside it out."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from models.training.runs import read_rows

mpl.use("Agg")


def plot_curves(folder: Path) -> None:
    """Draw loss against steps; nothing where the run has no rows."""
    rows = read_rows(folder)
    if not rows:
        return
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    axes.plot([int(row["step"]) for row in rows], [float(row["loss"]) for row in rows], lw=0.8, label="training")
    held = [(int(row["step"]), float(row["validation_loss"])) for row in rows if row["validation_loss"]]
    if held:
        axes.plot(*zip(*held, strict=True), marker="o", ms=3, label="held out")
    axes.set_xlabel("step")
    axes.set_ylabel("loss per answer token (nats)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=120)
