"""API keys in the store: made, found by what is shown, listed, rotated, revoked. Every method blocks."""

from __future__ import annotations

import sqlalchemy as sa

from app.access import secret, tables
from app.access.types import ApiKey, KeyLimits, NewKey, scopes_of
from app.errors import KeyNotFound, OptionInvalid
from app.store import Database

_T = tables.api_key


class Keys:
    """Keys of all tenants. A `tenant` that is given must be the key's. All raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewKey) -> tuple[str, ApiKey]:
        """A new key: what its owner needs to know, told once, and the rest. Raises OptionInvalid (expired already)."""
        with self._database.write() as connection:
            return self._add(connection, new)

    def find(self, shown: secret.Shown) -> ApiKey | None:
        """The key that somebody shows, also an expired or revoked one; None for a wrong one."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_T).where(_T.c.id == shown.id)).mappings().one_or_none()
        if row is None or not secret.matches(shown.secret, row["hash"]):
            return None
        return _key(row)

    def get(self, key_id: str, tenant: str | None = None) -> ApiKey:
        """Raises KeyNotFound."""
        with self._database.read() as connection:
            return _key(_row(connection, key_id, tenant))

    def look(self, key_id: str) -> ApiKey | None:
        """A key by its id, if there is one."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_T).where(_T.c.id == key_id)).mappings().one_or_none()
        return None if row is None else _key(row)

    def list(self, tenant: str | None = None) -> tuple[ApiKey, ...]:
        """All of them, newest first."""
        where = [] if tenant is None else [_T.c.tenant == tenant]
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_T).where(*where).order_by(_T.c.created_at.desc(), _T.c.id)).mappings()
            return tuple(map(_key, rows))

    def any(self) -> bool:
        """Whether there is a key at all."""
        with self._database.read() as connection:
            return connection.execute(sa.select(_T.c.id).limit(1)).first() is not None

    def rotate(self, key_id: str, overlap_s: float, tenant: str | None = None) -> tuple[str, ApiKey]:
        """A new key in the place of an old one, which works for `overlap_s` more.

        Raises KeyNotFound, OptionInvalid (it does not work any more, or was rotated already).
        """
        with self._database.write() as connection:
            old = _key(_row(connection, key_id, tenant, lock=True))
            now = self._now(connection)
            if not old.valid_at(now) or old.replaced_by is not None:
                raise OptionInvalid("only a key that works and was not rotated yet can be rotated", param="key")
            text, key = self._add(connection, NewKey(old.name, old.tenant, old.scopes, old.limits, old.expires_at))
            ends = now + max(0.0, overlap_s)
            ends = ends if old.expires_at is None else min(ends, old.expires_at)
            connection.execute(sa.update(_T).where(_T.c.id == old.id).values(replaced_by=key.id, expires_at=ends))
        return text, key

    def revoke(self, key_id: str, tenant: str | None = None) -> ApiKey:
        """It opens nothing any more, nor do its tokens. Again is harmless. Raises KeyNotFound."""
        with self._database.write() as connection:
            old = _row(connection, key_id, tenant, lock=True)
            now = self._now(connection)
            if old["revoked_at"] is None:
                connection.execute(sa.update(_T).where(_T.c.id == key_id).values(revoked_at=now))
            token = tables.access_token
            connection.execute(sa.delete(token).where(token.c.key_id == key_id))
            return _key(_row(connection, key_id, tenant))

    def _add(self, connection: sa.Connection, new: NewKey) -> tuple[str, ApiKey]:
        now = self._now(connection)
        if new.expires_at is not None and new.expires_at <= now:
            raise OptionInvalid("a key cannot expire before it is made", param="expires_at")
        text, shown = secret.new_secret(secret.KEY)
        values = {
            "id": shown.id,
            "hash": secret.digest(shown.secret),
            "name": new.name,
            "tenant": new.tenant,
            "scopes": " ".join(sorted(new.scopes)),
            "requests_per_minute": new.limits.requests_per_minute,
            "concurrency": new.limits.concurrency,
            "audio_minutes_per_day": new.limits.audio_minutes_per_day,
            "created_at": now,
            "expires_at": new.expires_at,
        }
        connection.execute(sa.insert(_T).values(values))
        return text, _key(_row(connection, shown.id, None))

    def _now(self, connection: sa.Connection) -> float:
        return float(connection.execute(sa.select(self._database.now)).scalar_one())


def _row(connection: sa.Connection, key_id: str, tenant: str | None, *, lock: bool = False) -> sa.RowMapping:
    """lock: nobody else rotates or revokes it until the transaction ends. Raises KeyNotFound."""
    where = [_T.c.id == key_id, *([] if tenant is None else [_T.c.tenant == tenant])]
    statement = sa.select(_T).where(*where)
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().one_or_none()
    if row is None:
        raise KeyNotFound("there is no such key")
    return row


def _key(row: sa.RowMapping) -> ApiKey:
    limits = KeyLimits(row["requests_per_minute"], row["concurrency"], row["audio_minutes_per_day"])
    return ApiKey(
        id=row["id"],
        name=row["name"],
        tenant=row["tenant"],
        scopes=scopes_of(row["scopes"].split()),
        limits=limits,
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        replaced_by=row["replaced_by"],
    )
