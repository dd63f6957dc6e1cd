"""What a live session showed, measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bench.live_trace import Seen, Trace, live_speech, measure, percentile, pooled_live
from app.client import Final, Lag, Partial, Segment, Speakers, SpokenWord


def seg(identity, speaker, *words):
    """words: (text, start); each lasts 0.2 s."""
    spoken = tuple(SpokenWord(text, at, at + 0.2, 0.9) for text, at in words)
    text = " ".join(word.text for word in spoken)
    return Segment(identity, speaker, spoken[0].start, spoken[-1].end, text, spoken, (), False)


def trace(*events, duration=10.0, speed=1.0, wall=11.0):
    return Trace(tuple(Seen(at, event) for at, event in events), duration, speed, wall)


def lower(text):
    return text.lower().strip(".,")


def test_latencies_run_from_the_words_end_to_its_first_and_final_showing():
    found = measure(
        trace(
            (1.5, Partial(0, (seg("open-1", 0, ("Hello", 1.0)),))),
            (2.0, Partial(0, (seg("open-1", 0, ("hello", 1.0), ("word", 1.4)),))),
            (4.0, Final(1, seg("s1", 0, ("Hello", 1.0), ("world.", 1.4)))),
        ),
        lower,
    )
    assert found.first_s == pytest.approx((0.3, 2.4))  # "world" was never shown before it was final
    assert found.final_s == pytest.approx((2.8, 2.4))
    assert (found.shown, found.unconfirmed) == (2, 1)  # "word" came to nothing
    assert found.upwr == 0.5


def test_at_double_speed_words_end_twice_as_soon():
    found = measure(trace((4.0, Final(1, seg("s1", 0, ("late", 5.8)))), speed=2.0), lower)
    assert found.final_s == pytest.approx((1.0,))


def test_a_label_counts_from_when_it_stays_and_flips_after_final_are_counted():
    found = measure(
        trace(
            (1.5, Partial(0, (seg("open-1", 0, ("hello", 1.0)),))),
            (2.5, Partial(0, (seg("open-1", 1, ("hello", 1.0)),))),
            (3.0, Final(1, seg("s1", 1, ("hello", 1.0)))),
            (3.0, Final(2, seg("s2", 1, ("again", 2.0)))),
            (5.0, Speakers(3, {"s2": 0, "open-1": 4}, {})),
            (6.0, Lag(3, 2.5, "behind")),
        ),
        lower,
    )
    assert found.label_s == pytest.approx((1.3, 11.0 - 2.2))
    assert (found.flips, found.segments, found.max_lag_s) == (1, 2, 2.5)


def test_the_transcript_has_the_labels_of_the_end():
    speech = live_speech(trace((1, Final(1, seg("s1", 0, ("a", 1.0), ("b", 1.3)))), (2, Speakers(2, {"s1": 3}, {}))))
    (utterance,) = speech.utterances
    assert (utterance.speaker, utterance.words, utterance.word_spans) == ("3", "a b", ((1.0, 1.2), (1.3, 1.5)))


def test_pooling_adds_up():
    one = measure(trace((4.0, Final(1, seg("s1", 0, ("x", 1.0))))), lower)
    both = pooled_live([one, one])
    assert (both.final_s, both.segments, both.audio_s) == (one.final_s * 2, 2, 20.0)
    assert pooled_live([]).real_time_factor is None


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9
