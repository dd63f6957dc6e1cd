"""What is shown -> who asks. Keys are looked up in the store and remembered for some seconds, so that a busy key costs
nothing; so long a revoked key may go on.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from app.access import secret
from app.access.audit import Audit
from app.access.keys import Keys
from app.access.limits import Limiter
from app.access.shares import Shares
from app.access.tokens import Tokens
from app.access.types import ApiKey, Identity
from app.access.usage import Usage, minutes_spent
from app.errors import KeyInvalid
from app.store import Database

_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Their meanings stand in app/settings, group `access`. Seconds."""

    cache_s: float = 5.0
    token_ttl_s: float = 60.0
    share_ttl_s: float = 24 * 3600.0


class Access:
    """All of access over a migrated database, which stays its owner's. One event loop; `keys` and the like block."""

    def __init__(self, database: Database, rules: AccessRules) -> None:
        self.rules = rules
        self.keys = Keys(database)
        self.tokens = Tokens(database)
        self.shares = Shares(database)
        self.usage = Usage(database)
        self.audit = Audit(database)
        self.limiter = Limiter()
        self._known: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    async def identify(self, shown: str | None, path: str) -> Identity:
        """Who shows this (None: nothing) at a path. A single-use token is used up.

        Raises KeyInvalid: missing, wrong, expired, revoked, or a token that was used or is for another path.
        """
        if not shown:
            raise KeyInvalid("this server needs an API key: Authorization: Bearer KEY")
        parts = secret.parse(shown)
        if parts is not None and parts.kind == secret.TOKEN:
            return await self._by_token(parts, path)
        key = None if parts is None else await self._key(shown, parts)
        if key is None or not key.valid_at(time.time()):
            raise KeyInvalid("the API key is not valid: unknown, expired or revoked")
        return Identity(key.id, key.tenant, key.scopes, key.limits, key.expires_at)

    async def still_valid(self, who: Identity) -> bool:
        """Whether the key behind a long connection works still."""
        if not who.key_id:
            return True
        key = await asyncio.to_thread(self.keys.look, who.key_id)
        return key is not None and key.valid_at(time.time())

    async def check_minutes(self, who: Identity) -> None:
        """Raises LimitReached for a key that has handed in all the sound that it may today."""
        if who.key_id and who.limits.audio_minutes_per_day:
            self._check_used(who, await asyncio.to_thread(self.usage.today_s, who.key_id))

    async def left_s(self, who: Identity) -> float | None:
        """Seconds of sound that a key may hand in today; None: any number."""
        if not who.key_id or not who.limits.audio_minutes_per_day:
            return None
        used_s = await asyncio.to_thread(self.usage.today_s, who.key_id)
        return max(0.0, who.limits.audio_minutes_per_day * 60.0 - used_s)

    async def charge(self, who: Identity, audio_s: float) -> None:
        """Count sound. Raises LimitReached when that was more than the key may hand in today."""
        if who.key_id and audio_s > 0:
            used_s = await asyncio.to_thread(self.usage.add, who.key_id, audio_s)
            self._check_used(who, used_s, over=True)

    async def charge_all(self, who: Identity, audio_s: float) -> None:
        """Count sound that was taken already, however much it is: what is too much tells the next request."""
        if who.key_id and audio_s > 0:
            await asyncio.to_thread(self.usage.add, who.key_id, audio_s)

    def forget(self, key_id: str) -> None:
        """A key was changed here: look it up anew. On the event loop, as everything that changes what is remembered."""
        self._known = OrderedDict((text, it) for text, it in self._known.items() if it[1] is None or it[1].id != key_id)

    def _check_used(self, who: Identity, used_s: float, *, over: bool = False) -> None:
        most_s = who.limits.audio_minutes_per_day * 60.0
        if most_s and (used_s > most_s if over else used_s >= most_s):
            raise minutes_spent(who.limits.audio_minutes_per_day)

    async def _by_token(self, parts: secret.Shown, path: str) -> Identity:
        found = await asyncio.to_thread(self.tokens.redeem, parts, path)
        key = None if found is None else await asyncio.to_thread(self.keys.look, found.key_id)
        if found is None or key is None or not key.valid_at(time.time()):
            raise KeyInvalid("the token is not valid: unknown, used, expired or for another path")
        # Never more than the key may by now. A connection that a token opened lives as long as the key.
        return Identity(key.id, key.tenant, found.scopes & key.scopes, key.limits, key.expires_at, limited=True)

    async def _key(self, shown: str, parts: secret.Shown) -> ApiKey | None:
        name, now_s = secret.digest(shown), time.monotonic()
        known = self._known.get(name)
        if known is not None and now_s - known[0] < self.rules.cache_s:
            return known[1]
        key = await asyncio.to_thread(self.keys.find, parts)
        self._known[name] = (now_s, key)
        self._known.move_to_end(name)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return key
