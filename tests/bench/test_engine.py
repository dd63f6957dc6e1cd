"""app/bench/engine.py: the tables."""

from __future__ import annotations

from app.bench.engine import CallCost, WholeCost, to_markdown


def test_processor_time_below_what_the_system_counts_is_no_divisor():
    costs = [CallCost(site, "diarize", 1, 2.0, 3.0, 400.0, cpu) for site, cpu in (("here", 0.0), ("one", 1.0))]
    wholes = [WholeCost("here", 0.5, 0.0, True), WholeCost("one", 1.0, 0.1, True)]
    text = to_markdown(costs, wholes, "a machine")
    assert text.count("no measurable time before") == 4
    assert "(2.00 x)" in text
