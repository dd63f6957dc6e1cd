"""Whose sound it is: the tenant that a session belongs to, and the minutes that it costs the key."""

from __future__ import annotations

import asyncio
import logging

from app.access import Access, Identity
from app.core.times import SAMPLE_RATE
from app.errors import LimitReached, StoreError

_log = logging.getLogger(__name__)

_CHARGED_SAMPLES = 30 * SAMPLE_RATE
"""Sound is counted in such pieces, so that the store is asked twice a minute."""


class Owner:
    """Of one connection or request."""

    def __init__(self, who: Identity, access: Access) -> None:
        self._who = who
        self._access = access
        self._owed = 0

    @property
    def tenant(self) -> str:
        """Whose sessions the connection may hold."""
        return self._who.tenant

    async def heard(self, samples: int) -> None:
        """So many more samples, 16 kHz. Raises LimitReached when that was more than the key may hand in today."""
        self._owed += samples
        if self._owed >= _CHARGED_SAMPLES:
            await self.settle()

    async def settle(self) -> None:
        """Count what is not counted yet. Raises LimitReached."""
        owed, self._owed = self._owed, 0
        await self._access.charge(self._who, owed / SAMPLE_RATE)

    async def leave(self) -> None:
        """The end: the rest is counted; if it was too much, the next session is told."""
        try:
            await self.settle()
        except LimitReached:
            return
        except StoreError as error:
            _log.error("sound could not be counted: %s", error.message)

    async def noted(self, action: str, target: str) -> None:
        """Put what the client did into the audit log."""
        await asyncio.to_thread(self._access.audit.record, self._who.key_id, self._who.tenant, action, target)
