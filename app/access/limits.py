"""A key's rate and concurrency in this process. Pure: the clock is the caller's; one event loop only.

Rate is a token bucket that holds one minute's worth, so that a burst of that size passes and the mean holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.access.types import Identity
from app.errors import LimitReached

_MOST_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    level: float
    at_s: float


class Limiter:
    """Counts what each key asks for at the same time and by the minute."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._inside: dict[str, int] = {}

    def enter(self, who: Identity, now_s: float) -> None:
        """A request begins. Raises LimitReached; otherwise `leave` must follow."""
        if not who.key_id:
            return
        most = who.limits.concurrency
        if most and self._inside.get(who.key_id, 0) >= most:
            raise LimitReached(f"this key may have {most} requests at the same time", retry_after_s=1)
        self._take(who, now_s)
        self._inside[who.key_id] = self._inside.get(who.key_id, 0) + 1

    def leave(self, who: Identity) -> None:
        """It has ended."""
        if not who.key_id:
            return
        left = self._inside[who.key_id] - 1
        if left:
            self._inside[who.key_id] = left
        else:
            del self._inside[who.key_id]

    def _take(self, who: Identity, now_s: float) -> None:
        most = who.limits.requests_per_minute
        if not most:
            return
        bucket = self._buckets.get(who.key_id)
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._forget_full(now_s)
            bucket = self._buckets[who.key_id] = _Bucket(float(most), now_s)
        bucket.level = min(float(most), bucket.level + (now_s - bucket.at_s) * most / 60.0)
        bucket.at_s = now_s
        if bucket.level < 1.0:
            wait_s = (1.0 - bucket.level) * 60.0 / most
            raise LimitReached(f"this key may make {most} requests a minute", retry_after_s=int(wait_s) + 1)
        bucket.level -= 1.0

    def _forget_full(self, now_s: float) -> None:
        """Who has asked nothing for a minute has a full bucket, as who was never seen."""
        self._buckets = {key: it for key, it in self._buckets.items() if now_s - it.at_s < 60.0}
