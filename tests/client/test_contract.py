"""The client and the server's messages agree, in both directions."""

from __future__ import annotations

import json

import pytest

from app.client import LiveOptions, SpeakerBounds, events
from app.client.events import parse_event
from app.core.types import Flag, Segment, Word
from app.transport.live import messages

SEGMENT = messages.wire_segment(
    Segment("s1", 2, 16000, 32000, (Word("hello", 16000, 24000, 0.5),), frozenset({Flag.REPETITION})), overlaps=True
)
SPOKEN = events.Segment("s1", 2, 1.0, 2.0, "hello", (events.SpokenWord("hello", 1.0, 1.5, 0.5),), ("repetition",), True)
LIMITS = messages.Limits(max_message_bytes=9, max_ahead_s=1.0, idle_timeout_s=2.0, max_duration_s=3.0)
PAIRS = [
    (
        messages.Ready(revision=1, session="s", token="t", share="v", resumed=True, from_samples=4, limits=LIMITS),
        events.Ready(1, "s", "t", "v", True, 4, 9),
    ),
    (messages.Partial(revision=1, segments=(SEGMENT,)), events.Partial(1, (SPOKEN,))),
    (messages.Final(revision=1, segment=SEGMENT), events.Final(1, SPOKEN)),
    (messages.Speakers(revision=1, segments={"s1": 0}, names={3: "Ada"}), events.Speakers(1, {"s1": 0}, {3: "Ada"})),
    (messages.Ack(revision=1, samples=5), events.Ack(1, 5)),
    (messages.Lag(revision=1, seconds=2.5, state="behind"), events.Lag(1, 2.5, "behind")),
    (messages.SlowDown(revision=1, ahead_s=2.0, limit_s=1.0), events.SlowDown(1, 2.0, 1.0)),
    (messages.Marked(revision=1, id="m"), events.Mark(1, "m")),
    (messages.Flushed(revision=1, id=None), events.Flushed(1, None)),
    (messages.Pong(revision=1, id="p"), events.Pong(1, "p")),
    (messages.Skipped(revision=1, from_s=0.0, to_s=1.0, reason="r"), events.Skipped(1, 0.0, 1.0, "r")),
    (messages.Heartbeat(revision=1, received_s=2.0, written_s=1.0), events.Heartbeat(1, 2.0, 1.0)),
    (messages.GoAway(revision=1, reason="drain", within_s=3.0), events.GoAway(1, "drain", 3.0)),
    (messages.Problem(revision=1, code="c", message="m", fatal=True), events.Problem(1, "c", "m", None, True)),
    (messages.Done(revision=1, duration_s=1.0, segments=2, warnings=("w",)), events.Done(1, 1.0, 2, ("w",))),
]


@pytest.mark.parametrize(("said", "understood"), PAIRS, ids=lambda pair: type(pair).__name__)
def test_every_event_of_the_server_is_understood(said, understood):
    assert parse_event(said.text()) == understood


def test_no_event_is_forgotten_here():
    known = {
        kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, messages.ServerEvent)
    }
    viewers_only = {messages.ServerEvent, messages.ViewerReady, messages.Snapshot}
    assert {type(said) for said, _ in PAIRS} == known - viewers_only


def test_the_start_message_is_one_that_the_server_takes():
    options = LiveOptions(
        language="de", hotwords=("Ada",), speakers=SpeakerBounds(min=1, max=3), known_speakers=("k",), partials=False
    )
    text = json.dumps(options.start_message() | {"resume": {"token": "t", "have_revision": 7}})
    start = messages.parse_message(text)
    assert isinstance(start, messages.Start)
    assert (start.language, start.hotwords, start.speakers.max, start.known_speakers) == ("de", ("Ada",), 3, ("k",))
    assert start.resume == messages.Resume(token="t", have_revision=7)
    assert isinstance(messages.parse_message(json.dumps(LiveOptions().start_message())), messages.Start)


@pytest.mark.parametrize(
    "text",
    ['{"type": "stop"}', '{"type": "flush", "id": "flush-1"}', '{"type": "mark", "id": "m"}',
     '{"type": "rename", "speaker": 1, "name": ""}'],
)  # fmt: skip
def test_controls_are_ones_that_the_server_takes(text):
    assert messages.parse_message(text)
