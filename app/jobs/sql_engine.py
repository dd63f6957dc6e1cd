"""The engine over our own tables: claim by lease and fence, in fair order, nothing else installed.

Every slot is a thread that takes the next job. A worker with several slots keeps the last free one for short jobs, so
that long recordings never hold all of them.
"""

from __future__ import annotations

import logging
import threading
import time

from app.errors import StoreError
from app.jobs.claims import Claim, Claims
from app.jobs.engine import Handler, StopReason
from app.jobs.heartbeat import Heartbeat

_log = logging.getLogger(__name__)
_MAX_PAUSE_S = 15.0


class SqlEngine:
    """A JobEngine. owner: this process's name, unique over all its lives."""

    def __init__(self, claims: Claims, owner: str, poll_s: float = 0.5) -> None:
        self._claims = claims
        self._owner = owner
        self._poll_s = poll_s
        self._heartbeat = Heartbeat(claims)
        self._condition = threading.Condition()
        self._stopping = False
        self._free = 0
        self._threads: list[threading.Thread] = []

    def start(self, handler: Handler, slots: int) -> None:
        """See JobEngine."""
        self._heartbeat.start()
        self._free = slots
        self._slots = slots
        self._threads = [
            threading.Thread(target=self._work, args=(handler,), name=f"job-slot-{number}", daemon=True)
            for number in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """See JobEngine."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        for ctx in self._heartbeat.running():
            ctx.stop.set(StopReason.DRAIN)
        end_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        idle = not any(thread.is_alive() for thread in self._threads)
        self._heartbeat.stop()
        return idle

    def nudge(self) -> None:
        """See JobEngine."""
        with self._condition:
            self._condition.notify_all()

    def forget(self, job_id: str) -> None:
        """See JobEngine: it keeps nothing."""

    def _work(self, handler: Handler) -> None:
        pause_s = self._poll_s
        while not self._stopping:
            try:
                claim = self._take()
                pause_s = self._poll_s
                if claim is not None:
                    self._run(handler, claim)
                    continue
            except StoreError as error:
                pause_s = min(2 * pause_s, _MAX_PAUSE_S)
                _log.warning("no jobs can be taken for %.1f s: %s", pause_s, error.message)
            with self._condition:
                if not self._stopping:
                    self._condition.wait(pause_s)

    def _take(self) -> Claim | None:
        self._claims.recover()
        # One thread at a time asks, so that "the last free slot" is a fact.
        with self._condition:
            if self._stopping:
                return None
            last = self._slots > 1 and self._free == 1
            claim = self._claims.claim_next(self._owner, short_only=last)
            if claim is not None:
                self._free -= 1
            return claim

    def _run(self, handler: Handler, claim: Claim) -> None:
        try:
            self._heartbeat.keep(claim, handler, lambda: self._stopping)
        finally:
            with self._condition:
                self._free += 1
