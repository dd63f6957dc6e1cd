"""The Python client of the live protocol (docs/live-protocol.md): sound in, typed events out, over lost connections.

Knows the wire, not the server: it imports nothing of `app.transport`, so that it could be shipped by itself.
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
