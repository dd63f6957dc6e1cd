"""The vocabulary of access: frozen values between the store, the guard and the routes. Times are Unix seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from app.errors import OptionInvalid, ScopeMissing

MAX_NAME_CHARACTERS = 200
_TENANT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


class Scope(StrEnum):
    """What a key may do. None of them contains another."""

    TRANSCRIBE = "transcribe"
    """Hand in recordings, change and delete them, learn and forget voices."""
    LIVE = "live"
    """Hold live sessions, and share them."""
    READ = "read"
    """Look at recordings, transcripts, sound, known speakers."""
    ADMIN = "admin"
    """Manage keys, read the audit log."""


DEFAULT_SCOPES = frozenset({Scope.TRANSCRIBE, Scope.LIVE, Scope.READ})


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may use; 0 = any amount.

    requests_per_minute, concurrency: of one server process; audio_minutes_per_day: of sound, over all of them (UTC)
    """

    requests_per_minute: int = 0
    concurrency: int = 0
    audio_minutes_per_day: int = 0

    def __post_init__(self) -> None:
        if min(self.requests_per_minute, self.concurrency, self.audio_minutes_per_day) < 0:
            raise OptionInvalid("a limit is 0 (none) or more", param="limits")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made. Raises OptionInvalid. expires_at: None = never; tenant '': that of the operator."""

    name: str
    tenant: str = ""
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    limits: KeyLimits = field(default_factory=KeyLimits)
    expires_at: float | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > MAX_NAME_CHARACTERS or not self.name.isprintable():
            raise OptionInvalid(f"a key's name has 1 to {MAX_NAME_CHARACTERS} printable characters", param="name")
        if self.tenant and not _TENANT.fullmatch(self.tenant):
            raise OptionInvalid("a tenant has 1 to 64 letters, digits, '.', '_' or '-'", param="tenant")
        if not self.scopes:
            raise OptionInvalid("a key needs at least one scope", param="scopes")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored, without its secret. replaced_by: the key that a rotation made of it."""

    id: str
    name: str
    tenant: str
    scopes: frozenset[Scope]
    limits: KeyLimits
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaced_by: str | None

    def valid_at(self, now: float) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. key_id '': nobody in particular, where access is open to everybody.

    until: when what was shown expires, None = never; limited: shown was a token, which may not be exchanged for more
    """

    key_id: str = ""
    tenant: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)
    limits: KeyLimits = field(default_factory=KeyLimits)
    until: float | None = None
    limited: bool = False

    @property
    def operator(self) -> bool:
        """Whether it manages the keys of all tenants."""
        return Scope.ADMIN in self.scopes and not self.tenant

    def need(self, scope: Scope) -> None:
        """Raises ScopeMissing."""
        if scope not in self.scopes:
            raise ScopeMissing(f"this key may not do that: it needs the scope {scope}")


ANYBODY = Identity()
"""Everybody, where access is open."""


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """Scopes by name. Raises OptionInvalid."""
    found = set()
    for name in names:
        if name not in frozenset(Scope):
            raise OptionInvalid(f"unknown scope {name[:40]!r}; known: {', '.join(Scope)}", param="scopes")
        found.add(Scope(name))
    return frozenset(found)
