"""The boundary to what says which job runs where and when. Our tables are the truth; an engine keeps no data of a job.

Contract (tests/jobs/test_conformance.py runs it over every engine and database): a job that was queued is run by some
worker until it is over, also when workers are killed, frozen or revived; a job that ends its worker again and again
fails alone; a job is never written by two workers (claims are fenced); a worker that stops hands its jobs over at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from app.jobs.claims import Claim


class StopReason(StrEnum):
    """Why a running job must stop at its next window boundary."""

    CANCEL = "cancel"
    DRAIN = "drain"
    LOST = "lost"


class StopSignal:
    """Told by the engine's threads, seen by the job's coroutine. The first reason stands."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: StopReason | None = None
        self._wake: list[Callable[[], object]] = []

    @property
    def reason(self) -> StopReason | None:
        """None while the job may go on."""
        return self._reason

    def set(self, reason: StopReason) -> None:
        """Stop the job."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            wake, self._wake = self._wake, []
        for call in wake:
            call()

    def on_set(self, call: Callable[[], object]) -> None:
        """Call once when the signal is set, from whatever thread; at once if it is set."""
        with self._lock:
            if self._reason is None:
                self._wake.append(call)
                return
        call()


@dataclass(frozen=True, slots=True)
class JobCtx:
    """What a run of a job gets: its claim, and when to stop."""

    claim: Claim
    stop: StopSignal = field(default_factory=StopSignal)


Handler = Callable[[JobCtx], None]
"""Runs one claimed job to one of its ends; blocks. Does not raise but for ClaimLost and a lost database."""


class JobEngine(Protocol):
    """Kinds: `sql` (leases in our own tables), `dbos`."""

    def start(self, handler: Handler, slots: int) -> None:
        """Begin to take jobs in threads of its own, up to `slots` at once. Returns at once."""

    def stop(self, timeout_s: float) -> bool:
        """Take no more jobs, let those that run be handed over, and wait; False when some were still running."""

    def nudge(self) -> None:
        """Something was queued: look now rather than at the next poll. Never needed, only sooner."""

    def forget(self, job_id: str) -> None:
        """Remove every trace of a job that the engine keeps itself. Raises StoreUnavailable."""
