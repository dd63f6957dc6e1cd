"""What an inference worker lets in, and the names that it shares with its client."""

from __future__ import annotations

from dataclasses import dataclass

IDENTITY_HEADER = "Crosstalk-Identity"
"""Which models the caller wants; a worker with others refuses."""

TRACE_HEADER = "traceparent"
"""W3C's: the trace that a call belongs to."""

TIMEOUT_HEADER = "Crosstalk-Timeout-Ms"
"""How long the caller waits, in whole milliseconds."""


@dataclass(frozen=True, slots=True)
class InferRules:
    """token: what callers must show, empty = anybody may call; max_inside: requests at once, bodies included;
    default_timeout_s: for calls that give none; probe_*: see `Readiness`"""

    token: str = ""
    max_inside: int = 512
    default_timeout_s: float = 300.0
    probe_interval_s: float = 30.0
    probe_timeout_s: float = 60.0
