"""What a user of the live client decides: the sound's format, the session's wishes, and how long to try again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from app.client.errors import LiveFailed

SESSION_RATE = 16_000
"""Samples per second in which the server counts."""

Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]

_SAMPLE_BYTES: dict[str, int] = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Raw sound as it is sent. Containers cannot be resent from their middle, so this client does not send them."""

    encoding: Encoding = "pcm_s16le"
    sample_rate: int = SESSION_RATE
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in _SAMPLE_BYTES:
            raise LiveFailed("format_invalid", f"{self.encoding!r} cannot be sent by this client", param="encoding")
        if self.sample_rate <= 0 or self.channels <= 0:
            raise LiveFailed("format_invalid", "sample_rate and channels must be above 0", param="audio")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return _SAMPLE_BYTES[self.encoding] * self.channels

    def bytes_of(self, samples: int) -> int:
        """Where session sample `samples` (16 kHz) lies in the sound as sent, rounded down to a whole frame."""
        return samples * self.sample_rate // SESSION_RATE * self.frame_bytes

    def seconds_of(self, size_bytes: int) -> float:
        """Length of so many bytes."""
        return size_bytes / (self.frame_bytes * self.sample_rate)


@dataclass(frozen=True, slots=True)
class SpeakerBounds:
    """What is known about the number of speakers; None = not known."""

    min: int | None = None
    max: int | None = None
    exact: int | None = None


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The session's wishes, as in the `start` message."""

    audio: AudioFormat = field(default_factory=AudioFormat)
    language: str | None = None
    hotwords: tuple[str, ...] = ()
    speakers: SpeakerBounds = field(default_factory=SpeakerBounds)
    known_speakers: tuple[str, ...] = ()
    partials: bool = True

    def start_message(self) -> dict[str, object]:
        """The `start` message without `resume`."""
        message: dict[str, object] = {
            "type": "start",
            "version": 1,
            "audio": {
                "encoding": self.audio.encoding,
                "sample_rate": self.audio.sample_rate,
                "channels": self.audio.channels,
            },
            "partials": self.partials,
        }
        if self.language is not None:
            message["language"] = self.language
        if self.hotwords:
            message["hotwords"] = list(self.hotwords)
        if self.known_speakers:
            message["known_speakers"] = list(self.known_speakers)
        bounds = {"min": self.speakers.min, "max": self.speakers.max, "exact": self.speakers.exact}
        given = {name: value for name, value in bounds.items() if value is not None}
        if given:
            message["speakers"] = given
        return message


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How the client holds on to a session.

    keep_s: seconds of sound kept for a resume; when it is full, `send` waits, nothing is dropped
    give_up_s: without a server for so long, the session is given up
    first_wait_s, longest_wait_s: pauses between rounds over all URLs, doubled each time
    answer_timeout_s: how long a server may take to accept a connection and answer `start`
    silence_s: a server that says nothing for so long is taken for lost (it sends a heartbeat every 10 s)
    """

    keep_s: float = 300.0
    give_up_s: float = 120.0
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0
    answer_timeout_s: float = 15.0
    silence_s: float = 45.0
