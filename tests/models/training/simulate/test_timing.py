from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.simulate.errors import TimingInvalid
from models.training.simulate.timing import (
    DEFAULT_TABLE,
    Density,
    GapModel,
    Transition,
    compress_silence,
    draw_gap,
    draw_speaker,
    load_table,
)


def largest_distance(samples: np.ndarray, model: Density | GapModel, low: float, high: float) -> float:
    """Kolmogorov-Smirnov distance of samples from a density, by numeric integration."""
    at = np.linspace(low, high, 4001)
    cumulative = np.cumsum(model.pdf(at)) * (at[1] - at[0])
    found = np.searchsorted(np.sort(samples), at, side="right") / len(samples)
    return float(np.max(np.abs(found - cumulative)))


def test_samples_follow_the_density() -> None:
    density = Density((-0.8, 0.1, 0.2, 0.25, 1.5), 0.15)
    rng = np.random.default_rng(0)
    samples = np.array([density.sample(rng) for _ in range(4000)])
    assert largest_distance(samples, density, -3, 4) < 0.03


def test_gaps_follow_the_shipped_table() -> None:
    table, rng = load_table(), np.random.default_rng(1)
    model = table.gaps[Transition.CHANGE]
    samples = [draw_speaker(table, rng).base_s[Transition.CHANGE] + model.deviation.sample(rng) for _ in range(4000)]
    assert largest_distance(np.array(samples), model, -8, 10) < 0.03


@pytest.mark.parametrize("kind", list(Transition))
@pytest.mark.parametrize("negative", [False, True])
def test_a_gap_has_the_asked_sign(kind: Transition, negative: bool) -> None:
    table, rng = load_table(), np.random.default_rng(2)
    speaker = draw_speaker(table, rng)
    gaps = [draw_gap(table, speaker, kind, negative, rng) for _ in range(200)]
    assert all((gap < 0) == negative or gap == 0 for gap in gaps)


def test_the_shipped_table_looks_like_conversation() -> None:
    table = load_table()
    change = table.gaps[Transition.CHANGE]
    at = np.linspace(-4, 4, 801)
    assert 0.0 < at[np.argmax(change.pdf(at))] < 0.4, "people answer within about 200 ms (Levinson and Torreira 2015)"
    assert 0.1 < table.change_overlap_rate() < 0.5
    assert table.natural_overlap_rate() > table.change_overlap_rate()


@given(st.floats(0, 100), st.floats(0, 100))
def test_compression_keeps_order_and_its_limit(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert compress_silence(low, 1.5, 3.0) <= compress_silence(high, 1.5, 3.0) <= 3.0
    assert compress_silence(low, 1.5, 3.0) == low or low > 1.5


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 2"),
        ("return_weight", "weight"),
        ("[gaps.change]", "[gaps.turn]"),
        ("run_s = ", "run_s = -"),
        ("same = 0.", "same = 0.9"),
        ("base_bandwidth_s = ", "base_bandwidth_s = -1"),
        ("[shares]", "[shares"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, old: str, new: str) -> None:
    text = DEFAULT_TABLE.read_text()
    assert old in text
    (tmp_path / "bad.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(TimingInvalid, match=r"bad\.toml"):
        load_table(tmp_path / "bad.toml")
