"""Which request, live session and recording the running code works for; every log line tells it.

Held in context variables: a task that is started inherits them, and so does what it runs in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NAMES = ("request_id", "session_id", "job_id")
"""What a log line tells, under these names."""

_CONTEXT: ContextVar[tuple[str | None, str | None, str | None]] = ContextVar("crosstalk", default=(None, None, None))

_TRACE: ContextVar[str] = ContextVar("crosstalk_trace", default="")


@contextmanager
def traced_by(trace: str) -> Iterator[None]:
    """What is handed on within belongs to this trace (`app.observers.Span.trace`)."""
    token = _TRACE.set(trace)
    try:
        yield
    finally:
        _TRACE.reset(token)


def current_trace() -> str:
    """The trace that the running code belongs to; "" = none."""
    return _TRACE.get()


@contextmanager
def working_for(
    *, request_id: str | None = None, session_id: str | None = None, job_id: str | None = None
) -> Iterator[None]:
    """Everything within works for this; what is not given stays as it was."""
    asked = (request_id, session_id, job_id)
    token = _CONTEXT.set(
        tuple(new if new is not None else old for new, old in zip(asked, _CONTEXT.get(), strict=True))  # type: ignore[arg-type]
    )
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def current() -> dict[str, str | None]:
    """Name -> id; None where there is none."""
    return dict(zip(NAMES, _CONTEXT.get(), strict=True))


class AddContext(logging.Filter):
    """Gives every record the ids, unless it brings its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True."""
        for name, value in current().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
