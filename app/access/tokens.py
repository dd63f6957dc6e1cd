"""Tokens: what a browser shows where it cannot send a header (sockets, event streams, <audio>). Every method blocks.

A token opens one connection and is used up by it; one that is bound to a path opens that path alone, until it expires.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from app.access import secret, tables
from app.access.types import Scope, scopes_of
from app.store import Database

_T = tables.access_token


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a token stands for."""

    key_id: str
    scopes: frozenset[Scope]
    expires_at: float


class Tokens:
    """Tokens that were not used yet. All raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, key_id: str, scopes: Iterable[Scope], ttl_s: float, path: str | None = None) -> tuple[str, float]:
        """A token and when it expires. Expired ones are cleared away."""
        text, shown = secret.new_secret(secret.TOKEN)
        with self._database.write() as connection:
            now = float(connection.execute(sa.select(self._database.now)).scalar_one())
            connection.execute(sa.delete(_T).where(_T.c.expires_at < now))
            values = {
                "id": shown.id,
                "hash": secret.digest(shown.secret),
                "key_id": key_id,
                "scopes": " ".join(sorted(scopes)),
                "path": path,
                "expires_at": now + ttl_s,
            }
            connection.execute(sa.insert(_T).values(values))
        return text, now + ttl_s

    def redeem(self, shown: secret.Shown, path: str) -> Redeemed | None:
        """What a token opens at a path; None for one that is wrong, used, expired or for another path."""
        with self._database.write() as connection:
            now = float(connection.execute(sa.select(self._database.now)).scalar_one())
            row = connection.execute(sa.select(_T).where(_T.c.id == shown.id)).mappings().one_or_none()
            if row is None or not secret.matches(shown.secret, row["hash"]) or row["expires_at"] <= now:
                return None
            if row["path"] is None:
                # Of two who show it at once, one deletes it.
                if connection.execute(sa.delete(_T).where(_T.c.id == shown.id)).rowcount != 1:
                    return None
            elif row["path"] != path:
                return None
        return Redeemed(row["key_id"], scopes_of(row["scopes"].split()), row["expires_at"])
