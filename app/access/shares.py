"""Links by which others may read a live session along, without a key: they expire and can be revoked. Blocks."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from app.access import secret, tables
from app.errors import ShareNotFound
from app.store import Database

_T = tables.share


@dataclass(frozen=True, slots=True)
class Share:
    """A link, without its secret."""

    id: str
    session: str
    created_at: float
    expires_at: float
    revoked_at: float | None


class Shares:
    """Links of all sessions. All raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, session: str, ttl_s: float) -> tuple[str, Share]:
        """A new link: the secret, told once, and the rest."""
        text, share_id = secrets.token_urlsafe(24), f"shr_{secrets.token_hex(8)}"
        with self._database.write() as connection:
            now = float(connection.execute(sa.select(self._database.now)).scalar_one())
            share = Share(share_id, session, now, now + ttl_s, None)
            values = {
                "id": share.id,
                "hash": secret.digest(text),
                "session": session,
                "created_at": now,
                "expires_at": share.expires_at,
            }
            connection.execute(sa.insert(_T).values(values))
        return text, share

    def opens(self, session: str, text: str) -> bool:
        """Whether a link's secret opens the session now."""
        where = [_T.c.session == session, _T.c.hash == secret.digest(text), _T.c.revoked_at.is_(None)]
        with self._database.read() as connection:
            found = connection.execute(sa.select(_T.c.id).where(*where, _T.c.expires_at > self._database.now)).first()
        return found is not None

    def list(self, session: str) -> tuple[Share, ...]:
        """All links of a session, newest first."""
        wanted = sa.select(_T.c.id, _T.c.session, _T.c.created_at, _T.c.expires_at, _T.c.revoked_at)
        with self._database.read() as connection:
            rows = connection.execute(wanted.where(_T.c.session == session).order_by(_T.c.created_at.desc())).mappings()
            return tuple(Share(**row) for row in rows)

    def revoke(self, session: str, share_id: str) -> None:
        """It opens nothing any more. Again is harmless. Raises ShareNotFound."""
        mine = sa.and_(_T.c.id == share_id, _T.c.session == session)
        with self._database.write() as connection:
            if connection.execute(sa.select(_T.c.id).where(mine)).first() is None:
                raise ShareNotFound("there is no such link")
            open_ = sa.and_(mine, _T.c.revoked_at.is_(None))
            connection.execute(sa.update(_T).where(open_).values(revoked_at=self._database.now))
