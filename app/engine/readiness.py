"""Whether an engine can do its work: a probe window really passed through the models, not long ago."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from app.engine.base import Engine
from app.engine.probe import probe
from app.errors import CrosstalkError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How the last probe went. `at_s` is on the monotonic clock; `reason` is for people, empty when it passed."""

    passed: bool
    at_s: float
    reason: str = ""


class Readiness:
    """Keeps the result of the last probe, and probes again when it is older than `interval_s`; never two at once."""

    def __init__(self, engine: Engine, interval_s: float, timeout_s: float) -> None:
        self._engine = engine
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._last: ProbeResult | None = None
        self._running: asyncio.Task[ProbeResult] | None = None

    def start(self) -> asyncio.Task[ProbeResult]:
        """Begin a probe, or return the one under way."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._probe())
        return self._running

    async def check(self) -> ProbeResult | None:
        """The result of a fresh probe; None while the very first one is under way."""
        if self._last is None:
            self.start()
            return None
        if time.monotonic() - self._last.at_s > self._interval_s:
            # Shielded: the probe serves every caller, and one that hangs up must not end it.
            return await asyncio.shield(self.start())
        return self._last

    async def aclose(self) -> None:
        """End a probe under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _probe(self) -> ProbeResult:
        reason = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                await probe(self._engine)
        except TimeoutError:
            reason = f"the engine did not answer within {self._timeout_s:g} s"
        except CrosstalkError as error:
            reason = f"{error.message} [{error.code}]"
        if reason:
            _log.error("the probe of the engine failed: %s", reason)
        self._last = ProbeResult(not reason, time.monotonic(), reason)
        return self._last
