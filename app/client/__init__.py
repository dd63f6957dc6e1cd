"""Python clients of a Crosstalk server: `recordings`, and here that of the live protocol (docs/live-protocol.md),
sound in, typed events out, over lost connections.

Both know the wire, not the server: nothing of `app.transport` is imported, so that they could be shipped by themselves.
"""

from __future__ import annotations

from app.client.errors import LiveFailed
from app.client.events import (
    Ack,
    Done,
    Event,
    Final,
    Flushed,
    GoAway,
    Heartbeat,
    Lag,
    Lost,
    Mark,
    Partial,
    Pong,
    Problem,
    Ready,
    Segment,
    Skipped,
    SlowDown,
    Speakers,
    SpokenWord,
)
from app.client.live import LiveClient
from app.client.options import AudioFormat, LiveOptions, RetryRules, SpeakerBounds

__all__ = [
    "Ack",
    "AudioFormat",
    "Done",
    "Event",
    "Final",
    "Flushed",
    "GoAway",
    "Heartbeat",
    "Lag",
    "LiveClient",
    "LiveFailed",
    "LiveOptions",
    "Lost",
    "Mark",
    "Partial",
    "Pong",
    "Problem",
    "Ready",
    "RetryRules",
    "Segment",
    "Skipped",
    "SlowDown",
    "SpeakerBounds",
    "Speakers",
    "SpokenWord",
]
