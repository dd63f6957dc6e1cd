"""Moments at which a long computation can be interrupted: models call `pause()` between their steps.

What is to be done there belongs to the thread that computes; without anything it costs next to nothing. It may ask the
same models for other answers: what they keep between two steps is on the stack alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_here = threading.local()


def pause() -> None:
    """Between two steps of a computation."""
    call: Callable[[], None] | None = getattr(_here, "call", None)
    if call is not None:
        call()


@contextmanager
def pausing(call: Callable[[], None] | None) -> Iterator[None]:
    """Whatever computes on this thread meanwhile calls `call` at its pauses."""
    before: Callable[[], None] | None = getattr(_here, "call", None)
    _here.call = call
    try:
        yield
    finally:
        _here.call = before
