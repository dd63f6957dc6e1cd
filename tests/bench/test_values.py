from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bench.values import (
    DiarizationErrors,
    HallucinatedWords,
    JaccardErrors,
    Scores,
    SpeakerCounts,
    Speed,
    WordErrors,
    WordScores,
    pooled,
)

counts = st.integers(0, 1000)
word_errors = st.builds(WordErrors, counts, counts, counts, counts)


@given(st.lists(word_errors))
def test_pooled_counts_are_sums(values):
    total = pooled(values, WordErrors())
    assert total.length == sum(value.length for value in values)
    assert total.errors == sum(value.errors for value in values)


@given(word_errors, word_errors, word_errors)
def test_addition_is_associative_with_a_neutral_element(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + WordErrors() == a == WordErrors() + a


def test_the_pooled_rate_is_not_the_mean_of_rates():
    assert (WordErrors(10, insertions=5) + WordErrors(90, deletions=1)).rate == pytest.approx(0.06)


def test_rates_without_anything_to_divide_by_are_unknown():
    assert WordErrors(0, insertions=3).rate is None
    assert DiarizationErrors(false_alarm_s=1.0).rate is None
    assert JaccardErrors().rate is None
    assert SpeakerCounts().accuracy is None
    assert HallucinatedWords(3).per_hour is None
    assert Speed().real_time_factor is None
    assert Speed().times_real_time is None


def test_rates():
    assert DiarizationErrors(10.0, 1.0, 0.5, 0.25).rate == pytest.approx(0.175)
    assert HallucinatedWords(2, 1800.0).per_hour == pytest.approx(4.0)
    assert SpeakerCounts(4, 3).accuracy == 0.75
    assert Speed(20.0, 5.0).real_time_factor == 0.25
    assert Speed(20.0, 5.0).times_real_time == 4.0
    assert Speed(20.0, 5.0, 1.0).stage_factor(1.0) == 0.05


def test_what_was_not_measured_adds_nothing():
    measured = WordScores(cp=WordErrors(5, 1))
    assert (Scores(1, measured) + Scores(1)) == Scores(2, measured)
    assert (Scores(1) + Scores(1)).words is None


def test_a_stage_unknown_in_one_meeting_is_unknown_in_all():
    assert pooled([Speed(1.0, 2.0, 0.5, 1.5), Speed(1.0, 2.0)], Speed.zero()) == Speed(2.0, 4.0)
    assert pooled([Speed(1.0, 2.0, 0.5, 1.5)], Speed.zero()) == Speed(1.0, 2.0, 0.5, 1.5)


def test_values_of_different_kinds_do_not_add():
    with pytest.raises(TypeError):
        WordErrors() + JaccardErrors()
    with pytest.raises(TypeError):
        Speed() + 1
