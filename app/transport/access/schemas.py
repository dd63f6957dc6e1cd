"""Bodies of the routes of access. Times are Unix seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.access.audit import Entry
from app.access.shares import Share
from app.access.types import ApiKey, KeyLimits, NewKey, Scope
from app.transport.numbers import WHOLE

_Limit = Annotated[int, Field(ge=0, le=1_000_000_000), WHOLE]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class LimitsBody(_Body):
    """Of a key; 0 = any amount."""

    requests_per_minute: _Limit = 0
    concurrency: _Limit = 0
    audio_minutes_per_day: _Limit = 0


class NewKeyBody(_Body):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    tenant: Annotated[str | None, Field(max_length=64, description="Yours when not given")] = None
    scopes: list[Annotated[Scope, Field(strict=False)]] = [Scope.TRANSCRIBE, Scope.LIVE, Scope.READ]
    limits: LimitsBody = LimitsBody()
    expires_at: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None


class RotateBody(_Body):
    """overlap_s: how long the old key works on."""

    overlap_s: Annotated[float, Field(ge=0, le=90 * 86_400)] = 86_400.0


class KeyBody(BaseModel):
    """A key without its secret; `key` is the whole of it, shown once, when it was just made."""

    id: str
    name: str
    tenant: str
    scopes: list[str]
    limits: LimitsBody
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaced_by: str | None
    key: str | None = None


class KeyList(BaseModel):
    """All of them, newest first."""

    data: list[KeyBody]


class NewTokenBody(_Body):
    """path: the one that the token opens any number of times until it expires; not given: it opens one connection."""

    scopes: Annotated[list[Literal["transcribe", "live", "read"]], Field(min_length=1)]
    path: Annotated[str | None, Field(pattern=r"^/[\x21-\x7e]*$", max_length=500)] = None
    ttl_s: Annotated[float | None, Field(gt=0, le=3600)] = None


class TokenBody(BaseModel):
    """A token, shown once."""

    token: str
    expires_at: float


class NewShareBody(_Body):
    """ttl_s: how long the link works; the server's default when not given."""

    ttl_s: Annotated[float | None, Field(gt=0, le=366 * 86_400)] = None


class ShareBody(BaseModel):
    """A link; `share` is its secret, shown once, when it was just made."""

    id: str
    created_at: float | None
    expires_at: float | None
    revoked_at: float | None
    share: str | None = None


class ShareList(BaseModel):
    """All links of a session, newest first."""

    data: list[ShareBody]


class AuditEntry(BaseModel):
    """actor: a key's id, `cli`, or nobody where access was open."""

    id: int
    at: float
    tenant: str
    actor: str
    action: str
    target: str


class AuditPage(BaseModel):
    """Newest first; ask again with `before` = next_before."""

    data: list[AuditEntry]
    next_before: int | None


def new_key(body: NewKeyBody, tenant: str) -> NewKey:
    """Raises OptionInvalid."""
    limits = KeyLimits(**body.limits.model_dump())
    return NewKey(body.name, tenant, frozenset(body.scopes), limits, body.expires_at)


def key_body(key: ApiKey, secret: str | None = None) -> KeyBody:
    """As it is answered."""
    limits = key.limits
    return KeyBody(
        id=key.id,
        name=key.name,
        tenant=key.tenant,
        scopes=sorted(key.scopes),
        limits=LimitsBody(
            requests_per_minute=limits.requests_per_minute,
            concurrency=limits.concurrency,
            audio_minutes_per_day=limits.audio_minutes_per_day,
        ),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        replaced_by=key.replaced_by,
        key=secret,
    )


def share_body(share: Share, secret: str | None = None) -> ShareBody:
    """As it is answered."""
    return ShareBody(
        id=share.id,
        created_at=share.created_at,
        expires_at=share.expires_at,
        revoked_at=share.revoked_at,
        share=secret,
    )


def audit_page(entries: tuple[Entry, ...], limit: int) -> AuditPage:
    """As it is answered."""
    data = [
        AuditEntry(id=it.id, at=it.at, tenant=it.tenant, actor=it.actor, action=it.action, target=it.target)
        for it in entries
    ]
    return AuditPage(data=data, next_before=data[-1].id if len(data) == limit else None)
