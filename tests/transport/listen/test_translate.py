"""Updates of a session as Deepgram's messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.types import TranscriptView
from app.live.updates import Final, Finished, Flushed, Partial, Progress, Revision
from app.transport.listen.params import ListenOptions
from app.transport.listen.translate import Translator
from tests.transport.listen.test_results import SHAPE, segment

S = 16000


def translate(updates, **options):
    translator = Translator(ListenOptions(**options), SHAPE)
    return [message for update in updates for message in translator.push(update)]


def kinds(messages):
    return [(m["type"], m["is_final"], m["speech_final"]) if m["type"] == "Results" else m["type"] for m in messages]


def finished(duration):
    return Finished(TranscriptView(duration, "en", (), ()), 0)


ONE = segment(0, S, "one")  # the word ends at 1.05 s


def test_a_final_with_its_pause_is_speech_final_at_once():
    messages = translate([Progress(3 * S, 2 * S), Final(ONE)], endpointing_ms=300)
    assert kinds(messages) == [("Results", True, True)]


def test_a_pause_found_later_comes_by_itself_and_once():
    progress = [Progress(3 * S, at * S) for at in (1, 2, 3)]
    messages = translate([Final(ONE), *progress], endpointing_ms=300)
    assert kinds(messages) == [("Results", True, False), ("Results", True, True)]
    assert messages[1]["channel"]["alternatives"][0]["transcript"] == ""


def test_no_endpoint_while_somebody_goes_on():
    open_ = Partial((segment(1, S, "over"),))
    assert kinds(translate([open_, Final(ONE), Progress(9 * S, 9 * S)])) == [("Results", True, False)]
    assert kinds(translate([Final(ONE), Progress(9 * S, 9 * S)], endpointing_ms=None)) == [("Results", True, False)]


def test_utterance_end_once_after_its_gap_and_again_after_the_next_word():
    two = segment(0, 5 * S, "two")
    updates = [
        Final(ONE),
        Progress(3 * S, 2 * S),
        Progress(4 * S, 3 * S),
        Progress(4 * S, 4 * S),
        Final(two),
        finished(8 * S),
    ]
    messages = translate(updates, utterance_end_ms=1500, endpointing_ms=None, interim_results=True)
    assert [(m["type"], m.get("last_word_end")) for m in messages] == [
        ("Results", None), ("UtteranceEnd", 1.05), ("Results", None), ("UtteranceEnd", 5.05),
    ]  # fmt: skip


def test_interim_results_and_speech_started_only_when_asked_for():
    updates = [Partial((ONE,)), Partial((ONE,)), Partial(()), Partial((segment(0, 4 * S, "two"),))]
    assert translate(updates) == []
    assert kinds(translate(updates, interim_results=True)) == [("Results", False, False)] * 2
    started = translate(updates, vad_events=True)
    assert [(m["type"], m["timestamp"]) for m in started] == [("SpeechStarted", 1.0), ("SpeechStarted", 4.0)]


def test_finalize_has_an_answer_behind_its_finals():
    messages = translate([Final(ONE), Flushed()], endpointing_ms=None)
    assert [(m["type"], m["is_final"], m["from_finalize"]) for m in messages] == [
        ("Results", True, False), ("Results", True, True),
    ]  # fmt: skip


segments = st.builds(
    lambda speaker, start, n: segment(speaker, start, *["word"] * n), st.integers(0, 3), st.integers(0, 10**6),
    st.integers(0, 3),
)  # fmt: skip
updates = st.lists(
    st.one_of(
        st.builds(Final, segments),
        st.builds(Partial, st.lists(segments, max_size=3).map(tuple)),
        st.builds(Progress, st.integers(0, 10**6), st.integers(0, 10**6)),
        st.just(Flushed()),
        st.just(Revision({"s1": 2})),
    ),
    max_size=20,
)


@given(updates, st.booleans(), st.none() | st.integers(0, 3000), st.none() | st.integers(1000, 3000))
def test_every_final_is_sent_once_in_order_whatever_else_happens(given_updates, interim, endpointing, utterance):
    messages = translate(given_updates, interim_results=interim, endpointing_ms=endpointing, utterance_end_ms=utterance)
    sent = [m["channel"]["alternatives"][0]["words"] for m in messages if m.get("is_final")]
    finals = [update.segment for update in given_updates if isinstance(update, Final)]
    assert [len(words) for words in sent if words] == [len(it.words) for it in finals if it.words]
    assert sum(m["from_finalize"] for m in messages if m["type"] == "Results") == given_updates.count(Flushed())
    assert interim or all(m.get("is_final", True) for m in messages)
