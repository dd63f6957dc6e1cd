"""The sound that a recording costs its key: what was counted when it was handed in, and what a run finds beyond that.

A file may turn out longer than was known: its container says nothing, or a worker of another version decodes it
otherwise. Whatever is decoded beyond what the job has counted is counted, once, however often the job runs.
"""

from __future__ import annotations

import logging
from functools import partial

from app.core.times import SAMPLE_RATE
from app.errors import LimitReached
from app.jobs.claims import Claim, Claims
from app.jobs.patience import patiently

_log = logging.getLogger(__name__)
_PIECE_SAMPLES = 30 * SAMPLE_RATE
"""Sound is counted in such pieces, as that of live sessions is."""


class Minutes:
    """Of one run. Every part of a job is the same stretch of time: the longest counts."""

    def __init__(self, claims: Claims, claim: Claim) -> None:
        self._claims = claims
        self._claim = claim
        self._counted = claim.job.counted
        self._at = 0

    def begin_part(self) -> None:
        """Decoding starts from 0."""
        self._at = 0

    async def heard(self, samples: int) -> None:
        """So many more (16 kHz). Raises LimitReached when the key has no minutes left, ClaimLost, StoreUnavailable."""
        self._at += samples
        if self._at - self._counted >= _PIECE_SAMPLES:
            error = await self._count()
            if error is not None:
                raise error

    async def settle(self) -> None:
        """The end of a part: the rest is counted; if it was too much, the next request is told."""
        error = await self._count()
        if error is not None:
            _log.info("recording %s took the last minutes of its key", self._claim.job.id)

    async def _count(self) -> LimitReached | None:
        if not self._claim.job.key_id or self._at <= self._counted:
            return None
        error = await patiently(partial(self._claims.count, self._claim, self._at))
        self._counted = self._at
        return error
