"""What an inference worker lets in, and the names that it shares with its client."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.types import Urgency

IDENTITY_HEADER = "Crosstalk-Identity"
"""Which models the caller wants; a worker with others refuses."""

URGENCY_HEADER = "Crosstalk-Urgency"
"""What goes first where calls wait for the models: a number of `core.types.Urgency`; without it that of recordings."""

TRACE_HEADER = "traceparent"
"""W3C's: the trace that a call belongs to."""

TIMEOUT_HEADER = "Crosstalk-Timeout-Ms"
"""How long the caller waits, in whole milliseconds."""


@dataclass(frozen=True, slots=True)
class InferRules:
    """token: what callers must show, empty = anybody may call; max_inside: requests at once, bodies included, of which
    recordings leave an eighth to live sessions; default_timeout_s: for calls that give none; probe_*: see
    `Readiness`"""

    token: str = ""
    max_inside: int = 512
    default_timeout_s: float = 300.0
    probe_interval_s: float = 30.0
    probe_timeout_s: float = 60.0

    def room(self, urgency: Urgency) -> int:
        """Requests that may be inside for one more of this kind to come in."""
        return self.max_inside - (self.max_inside // 8 if urgency is Urgency.RECORDING else 0)
