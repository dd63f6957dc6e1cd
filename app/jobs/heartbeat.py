"""Says for all jobs of a worker that they are alive, and hears what is to stop.

In a thread of its own: neither a busy event loop nor a model that holds the interpreter for seconds may cost a lease.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.errors import StoreError
from app.jobs.claims import Claim, ClaimLost, Claims
from app.jobs.engine import Handler, JobCtx, StopReason

_log = logging.getLogger(__name__)


class Heartbeat:
    """Renews leases every third of a lease, and looks for cancelled and lost jobs every `look_s`."""

    def __init__(self, claims: Claims, look_s: float = 1.0) -> None:
        self._claims = claims
        self._look_s = min(look_s, claims.rules.lease_s / 3)
        self._jobs: dict[str, JobCtx] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the leases of what still runs expire by themselves."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def keep(self, claim: Claim, handler: Handler, stopping: Callable[[], bool]) -> None:
        """Run a claimed job, kept alive for as long as it runs. stopping: whether the worker takes no more.

        Raises what the handler raises, but for ClaimLost, which is told.
        """
        ctx = JobCtx(claim)
        with self._lock:
            self._jobs[claim.job.id] = ctx
        # Looked at only now: who stops tells those that are kept alive.
        if stopping():
            ctx.stop.set(StopReason.DRAIN)
        try:
            handler(ctx)
        except ClaimLost:
            about = {"job_id": claim.job.id}
            _log.warning("recording %s is another worker's by now, or deleted", claim.job.id, extra=about)
        finally:
            with self._lock:
                if self._jobs.get(claim.job.id) is ctx:
                    del self._jobs[claim.job.id]

    def running(self) -> tuple[JobCtx, ...]:
        """The jobs that are kept alive."""
        with self._lock:
            return tuple(self._jobs.values())

    def _run(self) -> None:
        renewed_s = time.monotonic()
        while not self._end.wait(self._look_s):
            held = self.running()
            if not held:
                continue
            due = time.monotonic() - renewed_s >= self._claims.rules.lease_s / 3 - self._look_s / 2
            try:
                claims = [ctx.claim for ctx in held]
                told = self._claims.beat(claims) if due else self._claims.look(claims)
            except StoreError as error:
                # The job goes on: its next answer waits for the database or meets the same.
                _log.warning("the heartbeat of %d jobs did not reach the store: %s", len(held), error.message)
                continue
            if due:
                renewed_s = time.monotonic()
            for ctx in held:
                cancel = told.get(ctx.claim.job.id)
                if cancel is None and ctx in self.running():
                    ctx.stop.set(StopReason.LOST)
                elif cancel:
                    ctx.stop.set(StopReason.CANCEL)
