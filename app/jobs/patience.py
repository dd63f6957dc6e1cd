"""A lost database is waited for: what a job has to write is written when it is back, and nothing is computed again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from app.errors import StoreUnavailable

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_FIRST_S, _LONGEST_S = 0.25, 10.0


async def patiently(call: Callable[[], _T], patience_s: float = 900.0) -> _T:
    """Run a blocking call in a thread, again and again while the database cannot be used.

    Raises the last StoreUnavailable after `patience_s`, and everything else at once.
    """
    began_s, pause_s = time.monotonic(), _FIRST_S
    while True:
        try:
            return await asyncio.to_thread(call)
        except StoreUnavailable as error:
            if time.monotonic() - began_s > patience_s:
                raise
            _log.warning("waiting for the store: %s", error.message)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_S)
