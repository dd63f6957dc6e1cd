from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.training.simulate.clips import SAMPLE_RATE
from models.training.simulate.conversation import Limits, plan_with_overlap
from models.training.simulate.errors import TimingInvalid
from models.training.simulate.fit import MERGE_PAUSE_S, bandwidth_s, fit, fit_files, mean_run_s, observe, render_table
from models.training.simulate.sources import FreeSource
from models.training.simulate.speech import Utterance
from models.training.simulate.timing import TimingTable, Transition, draw_gap, draw_speaker, load_table
from models.training.simulate.turns import SpokenTurn, render_rttm

TALK = [
    SpokenTurn(0.0, 4.0, "a"),
    SpokenTurn(1.0, 1.4, "b"),  # within a's turn
    SpokenTurn(4.2, 6.0, "b"),  # takes the free floor after 0.2 s
    SpokenTurn(7.0, 9.0, "b"),  # goes on after 1 s
    SpokenTurn(8.8, 10.0, "c"),  # a little early
    SpokenTurn(9.3, 12.0, "b"),  # well before c ends, and c had it from b
]


def test_every_transition_is_told_apart() -> None:
    seen = observe(TALK)
    assert [(item.kind.value, round(item.gap_s, 3), item.returned) for item in seen] == [
        ("backchannel", -3.0, None),
        ("change", 0.2, None),
        ("same", 1.0, None),
        ("change", -0.2, False),
        ("interruption", -0.7, True),
    ]
    assert observe(TALK[::-1]) == seen


def test_short_pauses_of_one_speaker_are_closed() -> None:
    assert observe([SpokenTurn(0, 1, "a"), SpokenTurn(1.1, 2, "a")]) == []


def test_runs_are_measured_between_changes_of_the_floor() -> None:
    assert mean_run_s([TALK]) == pytest.approx(np.mean([4.0, 3.8, 1.2, 2.7]))


def test_a_source_without_some_transition_is_refused() -> None:
    with pytest.raises(TimingInvalid, match="interruption"):
        fit({"m": TALK[:4]})


def test_short_pauses_are_added_and_counted() -> None:
    turns = [SpokenTurn(4.0 * n, 4.0 * n + 1.0, "a") for n in range(11)]
    without, with_them = (fit({"m": [*TALK, *turns]}, share) for share in (0.0, 0.5))
    assert without.gaps[Transition.SAME].added == 0
    same = with_them.gaps[Transition.SAME]
    assert same.added == same.count > 0
    assert min(same.deviation_s) < min(without.gaps[Transition.SAME].deviation_s)


def test_bandwidth_follows_the_rule_of_thumb() -> None:
    values = np.random.default_rng(0).normal(0, 1, 1000)
    assert bandwidth_s(list(values)) == pytest.approx(0.9 * 1000**-0.2, rel=0.1)
    assert bandwidth_s([1.0]) == 0.0


def pause_quartiles(table: TimingTable, kind: Transition) -> list[float]:
    """Quartiles of what is drawn from a table, of the pauses that a fit can see."""
    rng = np.random.default_rng(0)
    gaps = [draw_gap(table, draw_speaker(table, rng), kind, False, rng) for _ in range(2000)]
    return [float(value) for value in np.percentile([gap for gap in gaps if gap > MERGE_PAUSE_S], [25, 50, 75])]


def test_a_table_survives_simulation_and_fitting(tmp_path: Path, make_utterance: Callable[..., Utterance]) -> None:
    """Fit -> simulate -> fit gives back the gaps that were put in."""
    table = load_table()
    lengths = np.random.default_rng(3).gamma(2.0, 1.5, size=(4, 80)) + 0.4
    source = FreeSource(
        [[make_utterance(float(s), f"s{n}", f"s{n}-{i}") for i, s in enumerate(row)] for n, row in enumerate(lengths)]
    )
    for number in range(4):
        limits = Limits(600 * SAMPLE_RATE, max_simultaneous=3, max_silence_s=20.0)
        plan = plan_with_overlap(source, table, limits, None, np.random.SeedSequence(number))
        turns = [SpokenTurn(p.start / SAMPLE_RATE, p.end / SAMPLE_RATE, str(p.speaker)) for p in plan.placed]
        (tmp_path / f"{number}.rttm").write_text(render_rttm(str(number), turns))
    fitted, sources = fit_files(sorted(tmp_path.glob("*.rttm")))
    assert [count for _, _, count in sources] == [path.read_text().count("\n") for path in sorted(tmp_path.glob("*"))]
    out = tmp_path / "table.toml"
    out.write_text(render_table(fitted, sources, 'a "test"'))
    again = load_table(out)
    for kind in (Transition.SAME, Transition.CHANGE):
        assert pause_quartiles(again, kind) == pytest.approx(pause_quartiles(table, kind), rel=0.4, abs=0.25)
    assert again.change_overlap_rate() == pytest.approx(table.change_overlap_rate(), abs=0.12)
    assert 2.0 < again.return_weight < 8.0, f"people still answer one another, as with {table.return_weight}"
