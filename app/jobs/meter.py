"""Who counts a key's sound (app/access, as the roots say), as far as jobs know it."""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from app.errors import LimitReached


class Meter(Protocol):
    """Counts sound of a key in the caller's transaction; the error to raise where that was more than it may today."""

    def __call__(self, connection: sa.Connection, key_id: str, audio_s: float) -> LimitReached | None: ...


def unmetered(connection: sa.Connection, key_id: str, audio_s: float) -> LimitReached | None:  # noqa: ARG001 - a Meter
    """For stores without keys."""
    return None
