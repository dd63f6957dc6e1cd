"""Segments as Deepgram's messages, read by its own client's models."""

from __future__ import annotations

from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results, ListenV1SpeechStarted, ListenV1UtteranceEnd
from hypothesis import given
from hypothesis import strategies as st

from app.core.types import Segment, Word
from app.transport.listen.results import Marks, Shape, bare, closing_metadata, results, speech_started, utterance_end

SHAPE = Shape("0b1e", diarize=True, formatted=True, model="m", version="1")
PLAIN = Shape("0b1e", diarize=False, formatted=False, model="m", version="1")


def segment(speaker, start, *texts):
    words = tuple(Word(text, start + 1600 * i, start + 1600 * i + 800, 0.5) for i, text in enumerate(texts))
    return Segment(f"s{start}", speaker, start, start + 1600 * len(texts), words)


texts = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() == text and len(text.split()) == 1)
segments = st.builds(
    lambda speaker, start, words: segment(speaker, start, *words),
    st.integers(0, 5), st.integers(0, 10**6), st.lists(texts, min_size=1, max_size=5),
)  # fmt: skip


def test_one_segment():
    message = results([segment(1, 16000, "I", "have", "two,", "points.")], SHAPE, Marks(speech_final=True))
    parsed = ListenV1Results.model_validate(message)
    (best,) = parsed.channel.alternatives
    assert (parsed.start, parsed.duration, parsed.is_final, parsed.speech_final) == (1.0, 0.4, True, True)
    assert best.transcript == "I have two, points."
    assert [(it.word, it.punctuated_word, it.speaker) for it in best.words] == [
        ("i", "I", 1), ("have", "have", 1), ("two", "two,", 1), ("points", "points.", 1),
    ]  # fmt: skip
    assert (best.words[1].start, best.words[1].end) == (1.1, 1.15)


def test_unasked_for_punctuation_and_speakers_are_not_there():
    (best,) = results([segment(1, 0, "Well,", "O'Neill!")], PLAIN, Marks())["channel"]["alternatives"]
    assert best["transcript"] == "well o'neill"
    assert all("speaker" not in word and "punctuated_word" not in word for word in best["words"])


@given(st.lists(segments, max_size=4), st.booleans())
def test_every_word_is_there_once_in_the_order_of_segments(spoken, formatted):
    shape = SHAPE if formatted else PLAIN
    message = results(spoken, shape, Marks(is_final=False), at=320)
    ListenV1Results.model_validate(message)
    words = message["channel"]["alternatives"][0]["words"]
    ordered = sorted(spoken, key=lambda it: (it.start, it.speaker))
    assert [word["word"] for word in words] == [bare(word.text) for it in ordered for word in it.words]
    assert all(word["word"] for word in words)
    assert message["start"] == min((it.start for it in spoken), default=320) / 16000


def test_the_other_messages():
    assert ListenV1UtteranceEnd.model_validate(utterance_end(16000)).last_word_end == 1.0
    assert ListenV1SpeechStarted.model_validate(speech_started(8000)).timestamp == 0.5
    parsed = ListenV1Metadata.model_validate(closing_metadata(SHAPE, "2026-11-23T10:00:00Z", 32000, "ab", ["w"]))
    assert (parsed.duration, parsed.request_id, parsed.warnings) == (2.0, "0b1e", ["w"])
