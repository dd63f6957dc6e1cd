"""What a live session and its connections may cost. Seconds, unless the name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Their meanings stand in app/settings, group `live`.

    max_waiting_events: events that may wait for a client that reads slowly, before it is sent away to resume
    max_viewer_events: the same for a viewer, before it gets a snapshot instead
    max_beginning: sockets that may be open and have not said what they want
    retry_after_s: what a refused client is told to wait
    """

    max_sessions: int = 32
    max_viewers: int = 1_000
    max_load: float = 0.8
    max_message_bytes: int = 1 << 20
    max_ahead_s: float = 30.0
    max_beginning: int = 256
    start_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    max_duration_s: float = 8 * 3600.0
    resume_window_s: float = 120.0
    flush_after_s: float = 5.0
    heartbeat_s: float = 10.0
    lag_limit_s: float = 5.0
    drain_s: float = 5.0
    keep_s: float = 24 * 3600.0
    share_ttl_s: float = 24 * 3600.0
    send_timeout_s: float = 60.0
    max_waiting_events: int = 2_000
    max_viewer_events: int = 256
    tick_s: float = 1.0
    renew_s: float = 5.0
    sweep_s: float = 60.0
    retry_after_s: int = 10
