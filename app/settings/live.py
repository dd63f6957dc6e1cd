"""Settings of live captions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.settings.base import Group, PositiveFloat, PositiveInt


class LiveGroup(Group):
    """Live captions (`/v1/live`)."""

    max_sessions: PositiveInt = 32
    """Sessions held at the same time, those that wait for their client included; further ones are refused."""

    max_viewers: PositiveInt = 1000
    """Viewers that one process serves at the same time, of all its sessions; further ones get 503 with Retry-After."""

    max_beginning: PositiveInt = 256
    """Sockets that may be open without having said what they want; further ones get 503 with Retry-After."""

    max_load: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Part of the devices that live sessions may use, as measured; a session that would take them over it is refused,
    so that the others keep their pace. 0 = not measured: any number up to `max_sessions`."""

    max_message_bytes: PositiveInt = 1024**2
    """Largest message of a client, in bytes."""

    max_ahead_s: PositiveFloat = 30.0
    """Sound that may wait to be worked on, in seconds; a client that sends more is held back."""

    idle_timeout_s: PositiveFloat = 60.0
    """A connection on which nothing comes for so long is closed, in seconds."""

    max_duration_s: PositiveFloat = 8 * 3600.0
    """Longest session, in seconds of sound (default 8 hours)."""

    resume_window_s: PositiveFloat = 120.0
    """How long a session waits for a client that is gone, in seconds; then it is ended."""

    flush_after_s: PositiveFloat = 5.0
    """When the tail of a session is written whose client is gone, in seconds; a client back earlier notices nothing."""

    lag_limit_s: PositiveFloat = 5.0
    """When more sound than this waits to be worked on, in seconds, the client is told that captions are late."""

    max_waiting_events: PositiveInt = 2000
    """Events that may wait for a client that reads slowly; then it is sent away, and may resume."""

    drain_s: PositiveFloat = 5.0
    """How long clients have to go elsewhere at shutdown, in seconds."""

    keep_s: PositiveFloat = 24 * 3600.0
    """How long the transcript of an ended session can be fetched, in seconds (default a day)."""
