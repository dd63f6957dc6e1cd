"""Seconds that calls take by themselves: what runs within another one, on the same thread, is not counted twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class OwnTime:
    """A stopwatch for calls within calls, on any threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._here = threading.local()

    def timed(self, call: Callable[[], _T]) -> tuple[_T, float]:
        """The answer of `call`, and the seconds that it took without those of calls timed within it."""
        around_s: float = getattr(self._here, "within_s", 0.0)
        self._here.within_s = 0.0
        began_s = self._clock()
        try:
            answer = call()
        finally:
            took_s = self._clock() - began_s
            own_s = took_s - self._here.within_s
            self._here.within_s = around_s + took_s
        return answer, own_s
