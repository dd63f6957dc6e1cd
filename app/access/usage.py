"""How much sound a key has handed in on each day (UTC), over all servers. Every method blocks."""

from __future__ import annotations

import time

import sqlalchemy as sa

from app.access import tables
from app.errors import LimitReached
from app.store import Database

_T = tables.usage
_KEY = tables.api_key
_DAY_S = 86_400


class Usage:
    """Seconds of sound by key and day. All raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def today_s(self, key_id: str) -> float:
        """What the key has used since midnight."""
        with self._database.read() as connection:
            mine = self._mine(connection, key_id)
            return float(connection.execute(sa.select(_T.c.audio_s).where(mine)).scalar() or 0.0)

    def add(self, key_id: str, audio_s: float) -> float:
        """Count some sound; what the key has used since midnight, this included."""
        with self._database.write() as connection:
            return self._add(connection, key_id, audio_s)

    def count(self, connection: sa.Connection, key_id: str, audio_s: float) -> LimitReached | None:
        """The same within the caller's transaction; the error to raise where that is more than the key may today."""
        used_s = self._add(connection, key_id, audio_s)
        limit = sa.select(_KEY.c.audio_minutes_per_day).where(_KEY.c.id == key_id)
        minutes = connection.execute(limit).scalar() or 0
        return minutes_spent(minutes) if minutes and used_s > minutes * 60.0 else None

    def _add(self, connection: sa.Connection, key_id: str, audio_s: float) -> float:
        day = self._day(connection)
        self._database.insert_or_ignore(connection, _T, {"key_id": key_id, "day": day, "audio_s": 0.0})
        changed = sa.update(_T).where(_T.c.key_id == key_id, _T.c.day == day)
        total = connection.execute(changed.values(audio_s=_T.c.audio_s + audio_s).returning(_T.c.audio_s))
        return float(total.scalar_one())

    def _mine(self, connection: sa.Connection, key_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(_T.c.key_id == key_id, _T.c.day == self._day(connection))

    def _day(self, connection: sa.Connection) -> int:
        return int(connection.execute(sa.select(self._database.now)).scalar_one() // _DAY_S)


def no_minutes(message: str) -> LimitReached:
    """A key has no minutes of sound left until the next day."""
    return LimitReached(message, retry_after_s=int(_DAY_S - time.time() % _DAY_S) + 1)


def minutes_spent(minutes: int) -> LimitReached:
    """It has handed in as many as it may."""
    return no_minutes(f"this key may hand in {minutes} minutes of sound a day (UTC)")
